package notice

import "time"

// Bound lets no more deliveries wait on one way.
func (n *Notices) Bound(most int) {
	for _, c := range n.channels {
		c.bound = most
	}
}

// Hurry has everything tried again at once, for tests that can't wait.
func (n *Notices) Hurry(first, most time.Duration) {
	n.retry.first, n.retry.most, n.retry.step = first, most, 10*time.Millisecond
}

// Impatient bounds a call of the webhook.
func (h *Hook) Impatient(d time.Duration) { h.client.Timeout = d }

// Waiting returns how many deliveries wait, and how many were dropped.
func (n *Notices) Waiting() (waiting, dropped int) {
	for _, c := range n.channels {
		c.mu.Lock()
		waiting, dropped = waiting+len(c.waiting), dropped+c.dropped
		c.mu.Unlock()
	}
	return waiting, dropped
}

// Pause is how long is waited after so many failures.
func (n *Notices) Pause(failures int) time.Duration { return n.retry.pause(failures, n.Random) }

// Encoded is a message as it is sent.
func (m Message) Encoded() ([]byte, error) { return m.encode("vaultpam@example.eu", "pam.example.eu") }

// Sign is what webhook-signature holds.
func Sign(secrets [][]byte, id, at string, body []byte) string { return sign(secrets, id, at, body) }

// Pressed bounds the farewell to a mail server.
func (m *Mail) Pressed(d time.Duration) { m.quit = d }
