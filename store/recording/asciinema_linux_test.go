package recording_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// Debian's asciinema is the reader that an auditor has at hand.
func TestAsciinemaPlaysIt(t *testing.T) {
	s, dir := newStore(t)
	r := create(t, s)
	c := channel(t, r, terminal())
	text := []byte("\x1b[1mgrün\x1b[0m \"quoted\\\" 日本語 🎉\r\n\ttab\u2028end\u009b\r\n" + strings.Repeat("─", 40_000))
	for p := text; len(p) > 0; { // every rune is cut
		n := min(len(p), 7)
		if len(p) > 200 && len(p) < 100_000 {
			n = min(len(p), 32<<10)
		}
		check(t, c.Output(p[:n]))
		p = p[n:]
	}
	_, err := r.Close("")
	check(t, err)
	cmd := exec.CommandContext(t.Context(), "asciinema", "cat", filepath.Join(dir, r.ID().String(), "1.cast"))
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "LC_ALL=C.UTF-8")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 3} // it opens /dev/tty
	cmd.ExtraFiles = []*os.File{newTTY(t)}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	got, err := cmd.Output()
	if err != nil {
		t.Fatalf("asciinema: %v\n%s(asciinema 2 has to be installed: apt-get install asciinema)", err, &stderr)
	}
	if !bytes.Equal(got, text) {
		t.Errorf("asciinema shows %d bytes that differ from the %d recorded", len(got), len(text))
	}
}

// newTTY returns the user's side of a new pseudo-terminal.
func newTTY(t *testing.T) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	check(t, err)
	t.Cleanup(func() { _ = master.Close() })
	var unlock, number int32
	for request, arg := range map[uintptr]*int32{syscall.TIOCSPTLCK: &unlock, syscall.TIOCGPTN: &number} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), request, uintptr(unsafe.Pointer(arg))); errno != 0 {
			t.Fatal(errno)
		}
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	check(t, err)
	t.Cleanup(func() { _ = tty.Close() })
	return tty
}
