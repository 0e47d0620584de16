package login

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/netip"
	"sync"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// A Purpose is what a person does in a browser.
type Purpose string

const (
	// PurposeEnrol uses an invitation to enrol a passkey.
	PurposeEnrol Purpose = "enrol"
	// PurposeSignIn signs in for a program on some machine.
	PurposeSignIn Purpose = "sign-in"
	// PurposeConfirm proves that the person of a sign-in session is there.
	PurposeConfirm Purpose = "confirm"
	// PurposeAdd adds a passkey to those that somebody has.
	PurposeAdd Purpose = "add"
	// PurposeApprove approves a request.
	PurposeApprove Purpose = "approve"
)

const (
	// ceremonyLife is how long somebody has to walk to the browser (RFC 8628 has
	// half an hour; S20 asks for five minutes).
	ceremonyLife = 5 * time.Minute
	// codeLife is how long the code of a loopback redirect can be used: as long as a
	// redirect takes.
	codeLife      = time.Minute
	maxCeremonies = 10_000
	maxPerSource  = 50
	idSize        = 32
)

// A ceremony is what a person does in a browser, from when it was asked for until
// its outcome was fetched. It is kept in memory alone: a server that starts anew
// knows none, and who waited for one begins again.
//
// Its ID is random and whoever has it may look at the page; the first browser
// that goes on from there is the one that it belongs to.
type ceremony struct {
	id      string
	purpose Purpose
	begun   time.Time
	client  Client
	from    string // the prefix of the client's source
	wish    SignInWish
	device  string       // the code that is typed; empty where there is a redirect
	user    *access.User // whom it is for, where that is known
	signIn  store.Index  // of the session that is confirmed; 0: nobody is signed in yet
	what    string       // wants it
	token   []byte       // of the invitation

	approval *approvalWish // what PurposeApprove is about

	browser   store.Hash // of the cookie of the browser that it belongs to
	challenge *challenge // the one that may be answered, once
	errand    *ssoErrand // to the company's provider, which may be answered once
	vouched   *vouched   // whom the provider vouched for
	proven    *proof
	code      store.Hash // of the redirect's code
	codeMade  time.Time
	over      chan struct{} // closed with the outcome
	err       error         // the outcome, where it is none that was wished for
	ended     bool
}

// A proof is how somebody proved who they are: with a passkey; or, where the
// company's provider had vouched for them, with a code of the time step, or by that
// alone.
type proof struct {
	user      store.UserID
	assertion *access.Assertion
	step      uint64
	counts    bool
}

// end sets the outcome; the first one counts. The table's mutex is held.
func (c *ceremony) end(err error) {
	if !c.ended {
		c.ended, c.err = true, err
		close(c.over)
	}
}

// ceremonies are those that are open.
type ceremonies struct {
	now  func() time.Time
	mu   sync.Mutex // guards all that follows, and every ceremony in it
	open map[string]*ceremony
	// guesses are wrong device codes by the source prefix that typed them, and
	// those of everybody.
	guesses map[string]guesses
}

func newCeremonies(now func() time.Time) *ceremonies {
	return &ceremonies{now: now, open: map[string]*ceremony{}, guesses: map[string]guesses{}}
}

// errGone answers a ceremony that is not there.
var errGone = &access.Refusal{
	Kind:    access.NotFound,
	Message: "this page has had its time, or was used already",
	Hint:    "begin again where you came from",
}

// errOtherBrowser answers a browser that a ceremony does not belong to.
var errOtherBrowser = &access.Refusal{
	Kind:    access.Forbidden,
	Message: "this page was opened in another browser first",
	Hint:    "go on there, or begin again where you came from",
}

// add opens a ceremony, if there are not too many: of strangers in all and of one
// source, and of one sign-in session.
func (t *ceremonies) add(c *ceremony) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.from = prefix(c.client.Source)
	same, strangers := 0, 0
	for id, other := range t.open {
		if t.late(other) {
			other.end(errGone)
			delete(t.open, id)
			continue
		}
		if other.signIn == 0 {
			strangers++
		}
		if other.signIn == c.signIn && (c.signIn != 0 || other.from == c.from) {
			same++
		}
	}
	// Who is signed in has room of their own: strangers don't keep them from what
	// takes a touch.
	if same >= maxPerSource || c.signIn == 0 && strangers >= maxCeremonies {
		return &access.Refusal{
			Kind: access.Limited, Message: "too many sign-ins are waiting for a browser", Hint: "wait a few minutes", RetryAfter: ceremonyLife,
		}
	}
	c.begun, c.over = t.now(), make(chan struct{})
	t.open[c.id] = c
	return nil
}

func (t *ceremonies) late(c *ceremony) bool { return t.now().Sub(c.begun) >= ceremonyLife }

// with calls do with an open ceremony while nobody else looks at it.
func (t *ceremonies) with(id string, do func(*ceremony) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.open[id]
	if !ok || t.late(c) {
		return errGone
	}
	return do(c)
}

// bind says that a browser goes on with a ceremony: the first one may.
func (c *ceremony) bind(browser []byte) error {
	if len(browser) != idSize {
		return errOtherBrowser
	}
	hash := store.Hash(sha256.Sum256(browser))
	if c.browser == (store.Hash{}) {
		c.browser = hash
	}
	if subtle.ConstantTimeCompare(c.browser[:], hash[:]) != 1 {
		return errOtherBrowser
	}
	if c.ended {
		return errGone
	}
	return nil
}

// take returns the challenge of a ceremony, which can't be answered again, if it is
// one that asks for a new passkey or one that does not.
func (t *ceremonies) take(id string, browser []byte, creates bool) (*ceremony, *challenge, error) {
	var found *ceremony
	var asked *challenge
	err := t.with(id, func(c *ceremony) error {
		if err := c.bind(browser); err != nil {
			return err
		}
		found, asked, c.challenge = c, c.challenge, nil
		if asked == nil || asked.creates != creates || t.now().Sub(asked.asked) >= challengeLife {
			return &access.Refusal{Kind: access.Conflict, Message: "that took too long, or was sent twice", Hint: "try again on the same page"}
		}
		return nil
	})
	return found, asked, err
}

// drop forgets a ceremony whose outcome was fetched.
func (t *ceremonies) drop(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c, ok := t.open[id]; ok {
		c.end(errGone)
		delete(t.open, id)
	}
}

// newID draws the ID of a ceremony.
func (l *Login) newID() (string, error) {
	id := make([]byte, idSize)
	err := l.draw(id)
	return base64.RawURLEncoding.EncodeToString(id), err
}

// A View is what the page of a ceremony shows before its person goes on.
type View struct {
	Purpose Purpose
	Handle  store.Handle // where it is known
	Machine string       // what the program's machine calls itself
	Source  netip.Addr   // where it asks from
	Age     time.Duration
	What    string   // wants to be confirmed
	Device  string   // the code that the machine shows
	Details []Detail // about the request that is approved
}

// View returns what a ceremony is about.
func (l *Login) View(id string) (View, error) {
	var v View
	err := l.ceremonies.with(id, func(c *ceremony) error {
		if c.ended {
			return errGone
		}
		v = View{
			Purpose: c.purpose, Machine: c.client.Machine, Source: c.client.Source,
			Age: l.Now().Sub(c.begun), What: c.what, Device: c.device,
		}
		if c.approval != nil {
			v.Details = c.approval.details
		}
		if c.user != nil {
			v.Handle = c.user.Handle
		}
		return nil
	})
	return v, err
}

// errDenied answers a program whose wish was turned down in the browser.
var errDenied = &access.Refusal{
	Kind:    access.Forbidden,
	Message: "it was turned down in the browser",
	Hint:    "the same again, if it was you who asked",
}

// Deny ends a ceremony that its person did not ask for. An ssh that waits for a touch
// may have brought two pages, one by its program and one by the relay: turning down
// one of them turns down what else the session asks its person to confirm.
func (l *Login) Deny(id string, browser []byte, source netip.Addr) error {
	return l.ceremonies.with(id, func(c *ceremony) error {
		if err := c.bind(browser); err != nil {
			return err
		}
		l.Log.Warn("a sign-in was turned down in the browser", "asked_from", c.client.Source, "machine", c.client.Machine, "turned_down_from", source)
		for _, other := range l.ceremonies.open {
			if other == c || c.purpose == PurposeConfirm && other.purpose == PurposeConfirm && other.signIn == c.signIn {
				other.end(errDenied)
			}
		}
		return nil
	})
}
