package store_test

import (
	"net/mail"
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/store"
)

func TestEmails(t *testing.T) {
	for in, want := range map[string]string{
		"carol@example.eu":                "carol@example.eu",
		"Carol.B+pam@Mail.EXAMPLE.eu":     "Carol.B+pam@mail.example.eu",
		"o'neill@xn--bcher-kva.eu":        "o'neill@xn--bcher-kva.eu",
		"_a-b=c&d~e#f@example.eu":         "_a-b=c&d~e#f@example.eu",
		"root@localhost":                  "root@localhost",
		"7@3com.example":                  "7@3com.example",
		strings.Repeat("a", 64) + "@x.eu": strings.Repeat("a", 64) + "@x.eu",
	} {
		if got, err := store.ParseEmail(in); err != nil || string(got) != want {
			t.Errorf("%q: %q, error %v", in, got, err)
		}
	}
	for _, bad := range []string{
		"", "@", "carol", "carol@", "@example.eu", "a@b@example.eu", "carol@@example.eu",
		".carol@example.eu", "carol.@example.eu", "ca..rol@example.eu", "-oQ/tmp@example.eu", "+a@example.eu",
		"carol @example.eu", " carol@example.eu", "carol@example.eu ", "carol@exa mple.eu",
		"carol@example.eu\r\nBcc: eve@example.eu", "carol\r@example.eu", "carol@example.eu\n", "carol\x00@example.eu", "carol@example.eu\x00",
		"carol@example.eu>", "<carol@example.eu>", "Carol <carol@example.eu>", "carol@example.eu, eve@example.eu", "carol@example.eu;eve@example.eu",
		`"carol"@example.eu`, `"a b"@example.eu`, `ca\rol@example.eu`, "carol(x)@example.eu", "ca%rol@example.eu", "host!carol@example.eu",
		"|sh@example.eu", "/dev/null@example.eu", "$(id)@example.eu", "`id`@example.eu", "{a}@example.eu", "a*@example.eu",
		"carol@[192.0.2.1]", "carol@192.0.2.1", "carol@[IPv6:::1]", "carol@-x.eu", "carol@x-.eu", "carol@x..eu", "carol@.eu", "carol@x.eu.", "carol@x_y.eu",
		"cárol@example.eu", "carol@bücher.eu", "carol@\u0130.eu", "carol@\u212a.eu", "carol\u2028@example.eu", "carol@example.eu\u2028",
		strings.Repeat("a", 65) + "@x.eu", "a@" + strings.Repeat("a", 64) + ".eu", "a@" + strings.Repeat("abc.", 60) + "eu",
	} {
		if got, err := store.ParseEmail(bad); err == nil || got != "" {
			t.Errorf("%q: accepted as %q", bad, got)
		} else if strings.ContainsAny(err.Error(), "\r\n\x00\u2028") {
			t.Errorf("%q: the error repeats it: %q", bad, err)
		}
	}
}

// FuzzParseEmail: what is accepted stays what it is, is one address to whoever
// reads headers, and can't end a header or an SMTP command.
func FuzzParseEmail(f *testing.F) {
	for _, s := range []string{"carol@example.eu", "Carol.B+pam@EXAMPLE.eu", "a@b", "a@b\r\nRCPT TO:<eve@x>", `"a"@b`, "a@[::1]", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := store.ParseEmail(s)
		if err != nil {
			if got != "" {
				t.Fatalf("%q is refused but returned %q", s, got)
			}
			return
		}
		if again, err := store.ParseEmail(string(got)); err != nil || again != got || !strings.EqualFold(s, string(got)) {
			t.Fatalf("%q became %q, then %q, error %v", s, got, again, err)
		}
		if a, err := mail.ParseAddress(string(got)); err != nil || a.Address != string(got) || a.Name != "" {
			t.Fatalf("%q reads as %v, error %v", got, a, err)
		}
		if list, err := mail.ParseAddressList("x@y, " + string(got)); err != nil || len(list) != 2 {
			t.Fatalf("%q is not one address in a list: %v, error %v", got, list, err)
		}
		if len(got) > 265 || strings.Count(string(got), "@") != 1 {
			t.Fatalf("accepted %q", got)
		}
		for i := range len(got) {
			if c := got[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`,;:<>()[]\"|%!$`+"`", c) >= 0 {
				t.Fatalf("accepted %q with byte %#x", got, c)
			}
		}
	})
}
