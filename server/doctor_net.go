package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"
)

// dialTimeout bounds one look at one port.
const dialTimeout = 5 * time.Second

// What to do about a port that does not answer.
const (
	doListen = "see what the server's log says, and who else has the port"
	doPublic = "look at the name's address, the firewall and the port's way to this machine; some networks don't lead a machine back to itself, then try from another"
)

// reachable is where a listening address answers on this machine.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen // check refuses it
	}
	switch a, err := netip.ParseAddr(host); {
	case host == "", err == nil && a.IsUnspecified() && a.Is4():
		host = "127.0.0.1"
	case err == nil && a.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}

// ports looks at a port, from this machine and by its public address.
func (d *doctor) ports(ctx context.Context, name, listen, public string, look func(ctx context.Context, address string) error) {
	if d.serves != nil {
		d.untold(name, "not looked at, because the server does not run")
		return
	}
	local := reachable(listen)
	if err := look(ctx, local); err != nil {
		d.ill(name, doListen, "%s does not answer: %v", local, err)
		return
	}
	if public != local {
		if err := look(ctx, public); err != nil {
			d.ill(name, doPublic, "%s answers, and %s does not from here: %v", local, public, err)
			return
		}
		local += " and " + public
	}
	d.well(name, "%s answers", local)
}

// https looks whether the API answers, and with which certificate.
func (d *doctor) https(ctx context.Context) {
	d.ports(ctx, "https", d.config.Listen.HTTPS, d.config.Public.HTTPS, func(ctx context.Context, address string) error {
		chain, err := d.handshake(ctx, address)
		if err != nil {
			return err
		}
		if d.chain == nil {
			d.chain = chain
			return nil
		}
		if !chain[0].Equal(d.chain[0]) {
			return errors.New("it answers with another certificate than this server's")
		}
		return nil
	})
	if d.chain == nil {
		d.chain, d.noChain = d.stored()
	}
}

// handshake returns the certificates that an address shows. It accepts all of
// them: judging them comes later, and nothing is sent.
func (d *doctor) handshake(ctx context.Context, address string) ([]*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: d.config.publicHost(), InsecureSkipVerify: true, //nolint:gosec // it is looked at, and not trusted
	}}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, inner(err)
	}
	defer conn.Close()
	chain := conn.(*tls.Conn).ConnectionState().PeerCertificates
	if len(chain) == 0 {
		return nil, errNoCertificate
	}
	return chain, nil
}

// stored returns the certificates that the server would serve.
func (d *doctor) stored() ([]*x509.Certificate, error) {
	var pair tls.Certificate
	var err error
	switch c := d.config.TLS; c.Mode {
	case TLSFile:
		pair, err = readPair(c.Cert, c.Key)
	case TLSACME:
		pair, err = newACMECache(d.r.Dir.acme()).pair(d.config.Name)
	default:
		pair, err = readPair(d.r.Dir.tlsCert(), d.r.Dir.tlsKey())
	}
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificates(bytesOf(pair.Certificate))
}

func bytesOf(parts [][]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// ssh looks whether the relay answers.
func (d *doctor) ssh(ctx context.Context) {
	d.ports(ctx, "ssh", d.config.Listen.SSH, d.config.Public.SSH, func(ctx context.Context, address string) error {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return inner(err)
		}
		defer conn.Close()
		defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // ends the reading below
		// Whoever waits for the client to begin says then what else it is.
		if _, err := io.WriteString(conn, "SSH-2.0-vaultpamd_doctor\r\n"); err != nil {
			return inner(err)
		}
		line, err := bufio.NewReader(io.LimitReader(conn, 255)).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "SSH-2.0-") {
			return fmt.Errorf("it does not speak SSH, and said %.40q", line)
		}
		return nil
	})
}

// inner is an error of a connection without the addresses, which were said.
func inner(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return op.Err
	}
	return err
}
