package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client"
)

// maxKey bounds what is read of a key, in bytes.
const maxKey = 64 << 10

// ownKey returns the key that this directory's bot made when it joined.
func (r *robot) ownKey() (ssh.Signer, error) {
	key, err := client.ReadBotKey(r.home.BotKeyFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, withHint(fmt.Errorf("%w: the bot %s has no key here", client.ErrNotSignedIn, r.flags.handle),
			"name it with --key-file or $%s; or vaultpam bot join TOKEN", envKey)
	}
	return key, err
}

// readKeyFile reads a private key and returns its absolute path, under which the
// next run finds it.
func readKeyFile(file string) (ssh.Signer, string, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return nil, "", fmt.Errorf("key file %q: %w", file, err)
	}
	key, err := client.ReadBotKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", withHint(fmt.Errorf("%w: %w", client.ErrNotSignedIn, err), "name the bot's key with --key-file or $%s", envKey)
	}
	return key, path, err
}

// readPublicKey reads what an administrator names as a bot's key.
func (a *app) readPublicKey(file string) (ssh.PublicKey, error) {
	r := a.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("reading the key: %w", err)
		}
		defer f.Close()
		r = f
	}
	text, err := io.ReadAll(io.LimitReader(r, maxKey))
	if err != nil {
		return nil, fmt.Errorf("reading the key: %w", err)
	}
	key, err := client.ParseBotPublicKey(string(text))
	if err != nil {
		return nil, withHint(fmt.Errorf("%s: %w", client.Clean(file), err), "ssh-keygen -t ed25519 -N '' -f bot_key makes bot_key.pub")
	}
	return key, nil
}

// readKey reads a private key from standard input.
func readKey(ctx context.Context, r io.Reader) (ssh.Signer, error) {
	type result struct {
		text []byte
		err  error
	}
	done := make(chan result, 1)
	go func() { // ends with the process where nothing comes
		text, err := io.ReadAll(io.LimitReader(r, maxKey))
		done <- result{text, err}
	}()
	select {
	case read := <-done:
		if read.err != nil {
			return nil, fmt.Errorf("reading the bot's key: %w", read.err)
		}
		key, err := client.ParseBotKey(read.text)
		if err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		return key, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
