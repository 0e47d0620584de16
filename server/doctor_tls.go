package server

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// What to do about a certificate.
const (
	doRenew  = "ask whoever renews it; in the mode acme the server's log says why it was not"
	doSelf   = "docs/install.md, TLS, has the two ways to one that browsers accept"
	doFetch  = "the server's log says why"
	doVerify = "clients need a certificate of an authority that they know, with its intermediates in the file"
)

// certificate looks at the certificate's names and dates.
func (d *doctor) certificate() {
	if d.noChain != nil {
		if d.serves != nil && d.config.TLS.Mode == TLSACME && errors.Is(d.noChain, errNoCertificate) {
			d.untold("certificate", "the server gets it when it runs")
			return
		}
		d.ill("certificate", doFetch, "%v", d.noChain)
		return
	}
	leaf, now := d.chain[0], d.env.Now()
	if d.config.TLS.Mode == TLSSelfSigned {
		d.well("certificate", "self-signed; invitations pin its key, and no client looks at its end")
		return
	}
	until := fmt.Sprintf("until %s, %d days left", inUTC(leaf.NotAfter), max(0, leaf.NotAfter.Sub(now)/day))
	switch err := unfit(leaf, d.config.publicHost(), now); {
	case err != nil:
		d.ill("certificate", doRenew, "%v", err)
	case leaf.NotAfter.Sub(now) < lateFor(leaf):
		d.ill("certificate", doRenew, "it should have been renewed: %s", until)
	default:
		d.well("certificate", "for %s by %s, %s", d.config.publicHost(), issuer(leaf), until)
	}
}

func issuer(c *x509.Certificate) string {
	if name := c.Issuer.String(); name != "" {
		return name
	}
	return "an authority without a name"
}

// passkeys says whether browsers will make and use passkeys with this server.
func (d *doctor) passkeys() {
	why, do := passkeyRefusal(d.config, d.chain, d.r.Roots, d.env.Now())
	switch {
	case why != "":
		d.ill("passkeys", do, "browsers will refuse them, because %s", why)
	case d.chain == nil:
		d.untold("passkeys", "the name is right, and there is no certificate to look at")
	default:
		d.well("passkeys", "ready")
	}
}

// passkeyRefusal is why browsers will make no passkeys with a server, as far as the
// chain of its certificate is known, and what its administrator does about it. It
// is "" where they will.
func passkeyRefusal(c Config, chain []*x509.Certificate, roots *x509.CertPool, now time.Time) (why, do string) {
	reasons, do := nameRefusals(c)
	if chain != nil {
		if err := browserRefusal(chain, c.Name, roots, now); err != nil {
			reasons = append(reasons, err.Error())
			switch {
			case do != "":
			case c.TLS.Mode == TLSSelfSigned:
				do = doSelf
			default:
				do = doVerify
			}
		}
	}
	return strings.Join(reasons, ", and "), do
}

// nameRefusals are the reasons in the server's names: passkeys are bound to a
// domain (WebAuthn, section 5.1.3), and the page has to be of it.
func nameRefusals(c Config) (reasons []string, do string) {
	const permanent = "the name is permanent: use TOTP, or begin anew with vaultpamd init --name and a host name"
	if _, err := netip.ParseAddr(c.Name); err == nil {
		reasons, do = append(reasons, "the name "+c.Name+" is an IP address"), permanent
	} else if !strings.Contains(c.Name, ".") && c.Name != "localhost" {
		reasons, do = append(reasons, "the name "+c.Name+" is a single word and no domain"), permanent
	}
	if host := c.publicHost(); host != c.Name {
		reasons = append(reasons, "public.https leads to "+host+" and not to the name "+c.Name)
		if do == "" {
			do = "let public.https in vaultpam.yaml begin with the name"
		}
	}
	return reasons, do
}

// browserRefusal is why a browser would refuse the certificates, or nil.
func browserRefusal(chain []*x509.Certificate, name string, roots *x509.CertPool, now time.Time) error {
	leaf := chain[0]
	others := x509.NewCertPool()
	for _, c := range chain[1:] {
		others.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: others, CurrentTime: now})
	var unknown x509.UnknownAuthorityError
	own := bytes.Equal(leaf.RawIssuer, leaf.RawSubject)
	if own && errors.As(err, &unknown) {
		return errors.New("the certificate is self-signed")
	}
	if err := unfit(leaf, name, now); err != nil {
		return fmt.Errorf("the certificate is no good: %w", err)
	}
	if errors.As(err, &unknown) {
		return fmt.Errorf("this machine does not know the authority that issued the certificate, %s", issuer(chain[len(chain)-1]))
	}
	if err != nil {
		return fmt.Errorf("the certificate does not verify: %w", err)
	}
	return nil
}
