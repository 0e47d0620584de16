package pages

import (
	"errors"
	"regexp"
)

// A Page is one of the pages of this package: Enrol, SignIn, Device, SSO, Message.
type Page interface {
	// template is the name of the page's template, without ".html".
	template() string
	// check refuses a page that would not say who asks for what.
	check() error
}

// Enrol is the page behind an invitation's link. The invitation's token stands
// behind "#" in the address, so the server learns of it only when the page's
// script sends it, and does not know whose invitation it is when it writes this.
type Enrol struct {
	Server string // as people type it: HOST or HOST:PORT
	// PasskeyRefusal is the sentence why browsers refuse passkeys here, empty where
	// they don't. The answer to "begin" may bring a reason of its own.
	PasskeyRefusal string
}

// A Purpose is what somebody touches a passkey for.
type Purpose string

// The purposes of SignIn.
const (
	ToSignIn     Purpose = "sign in"
	ToConfirm    Purpose = "confirm"
	ToAddPasskey Purpose = "add a passkey"
	ToApprove    Purpose = "approve a request"
)

// SignIn is the page on which a person answers what a machine asked for. All of
// its texts come from that machine or its connection and are shown as they are.
type SignIn struct {
	ID      string // of the ceremony; A-Z, a-z, 0-9, "-" and "_"
	Server  string
	Purpose Purpose
	What    string   // for ToConfirm alone: "root@db1 wants a fresh touch"
	Details []Detail // for ToApprove alone: who asks for what, why and for how long

	Machine   string // name of the machine that asks, as it says
	Program   string // and of the program on it
	Address   string // where the server saw it come from
	Age       string // how long ago: "20 seconds ago"
	CodeShown string // the device code that its screen must show, empty without one
	SSO       string // name of the company's provider, empty where there is none
}

// A Detail is a line about what is approved. Its text may come from whoever made the
// request.
type Detail struct{ Label, Text string }

// Device is the page on which somebody types the code that a machine without a
// browser shows. It reads no code from its address: a link with a code in it is
// how such codes are phished.
type Device struct {
	Server string
}

// SSO is the page to which the company's provider sends a browser back. Its script
// hands on what stands in the address, and asks for a second factor where one is
// wanted.
type SSO struct {
	Server   string
	Provider string // as people call it
}

// A Message is a page that only says something: a refusal, or what became of a
// link.
type Message struct {
	Server string // may be empty
	Title  string // without a full stop
	Text   string // a sentence
	Hint   string // what to do next; may be empty
}

var (
	_ Page = Enrol{}
	_ Page = SignIn{}
	_ Page = Device{}
	_ Page = SSO{}
	_ Page = Message{}
)

func (Enrol) template() string   { return "enrol" }
func (SignIn) template() string  { return "signin" }
func (Device) template() string  { return "device" }
func (SSO) template() string     { return "sso" }
func (Message) template() string { return "message" }

var errServer = errors.New("a page without the server's name")

func (e Enrol) check() error {
	if e.Server == "" {
		return errServer
	}
	return nil
}

func (d Device) check() error {
	if d.Server == "" {
		return errServer
	}
	return nil
}

func (s SSO) check() error {
	if s.Server == "" {
		return errServer
	}
	if s.Provider == "" {
		return errors.New("a page that does not say who vouched")
	}
	return nil
}

func (m Message) check() error {
	if m.Title == "" || m.Text == "" {
		return errors.New("a message that says nothing")
	}
	return nil
}

var ceremonyID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

func (s SignIn) check() error {
	switch {
	case s.Server == "":
		return errServer
	case !ceremonyID.MatchString(s.ID):
		return errors.New("a sign-in page without its ceremony")
	case s.Machine == "" || s.Address == "" || s.Age == "":
		return errors.New("a sign-in page that does not say who asks, from where and since when")
	}
	if (s.Purpose == ToApprove) != (len(s.Details) > 0) {
		return errors.New("only a page that approves says the details, and it must")
	}
	switch s.Purpose {
	case ToSignIn, ToAddPasskey, ToApprove:
		if s.What != "" {
			return errors.New("only a page that confirms says what")
		}
	case ToConfirm:
		if s.What == "" {
			return errors.New("a page that confirms without saying what")
		}
	default:
		return errors.New("a sign-in page without a purpose")
	}
	return nil
}

// Heading is what the page asks of the person.
func (s SignIn) Heading() string {
	switch s.Purpose {
	case ToConfirm:
		return "Confirm with your passkey"
	case ToAddPasskey:
		return "Add a passkey"
	case ToApprove:
		return "Approve a request"
	}
	return "Sign in"
}

// Button is what its main button says.
func (s SignIn) Button() string {
	switch s.Purpose {
	case ToSignIn:
		return "Sign in with a passkey"
	case ToApprove:
		return "Approve with a passkey"
	}
	return "Confirm with a passkey"
}

// Adds reports whether the confirming touch is followed by making a passkey.
func (s SignIn) Adds() bool { return s.Purpose == ToAddPasskey }
