package access_test

import (
	"slices"

	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// A modelName is a name that a certificate was made for, or that a host answers to.
type modelName struct {
	name   store.TargetName
	target store.Index
	keys   []string
	until  store.Millis // of a certificate
}

// seeNames takes in which hosts answer to which names, by their set-up and by
// certificates. It comes before the entry is taken in elsewhere.
func (m *model) seeNames(e *store.Entry) {
	switch v := e.Event.(type) {
	case *store.TargetAdded:
		m.answers = append(m.answers, modelName{name: v.Name, target: e.Index})
	case *store.TargetRenamed:
		m.answers = append(m.answers, modelName{name: v.Name, target: v.Target})
		renamed := *m.targets[v.Target]
		renamed.Name = v.Name
		m.targets[v.Target] = &renamed
		m.looks[v.Target], m.renamed[v.Target] = store.SessionID{}, e.Index
	case *store.TargetRemoved:
		m.answers = slices.DeleteFunc(m.answers, func(n modelName) bool { return n.target == v.Target })
	case *store.SessionEnded:
		if len(v.Files) > 1 && len(m.onward[v.Session]) > 0 && m.started[v.Session] > m.renamed[v.Target] {
			m.answersTo(v.Target)
		}
	case *store.SessionStarted:
		m.started[v.Session] = e.Index
		if v.Errand != "" {
			m.looks[v.Target] = v.Session
		}
	case *store.TargetChecked:
		m.answersTo(v.Target)
	case *store.CertificateIssued:
		if t := m.targets[v.Target]; t != nil && v.Direct {
			m.made = append(m.made, modelName{name: t.Name, target: v.Target, keys: modelKeys(t), until: v.Expires})
		}
	}
}

// answersTo takes in that a host was seen to answer to its target's name, so to no
// other one.
func (m *model) answersTo(target store.Index) {
	if t := m.targets[target]; t != nil {
		m.answers = slices.DeleteFunc(m.answers, func(n modelName) bool { return n.target == target && n.name != t.Name })
	}
}

func modelKeys(t *store.TargetAdded) []string {
	var all []string
	for _, k := range t.HostKeys {
		all = append(all, string(k))
	}
	return all
}

// freeName reports whether nothing but a target itself answers to a name.
func (m *model) freeName(name store.TargetName, target store.Index, keys []string, now store.Millis) bool {
	if m.targetNamed(name) != 0 {
		return false
	}
	for _, n := range m.answers {
		if n.name == name && n.target != target {
			return false
		}
	}
	for _, n := range m.made {
		same := n.target == target || slices.ContainsFunc(keys, func(k string) bool { return slices.Contains(n.keys, k) })
		if n.name == name && now < n.until && !same {
			return false
		}
	}
	return true
}

// judgeNames: no name is given while another host, or a certificate for another,
// answers to it; and a look is of the name that its host has now.
func (m *model) judgeNames(e *store.Entry, bad func(string)) {
	m.company.Helper()
	switch v := e.Event.(type) {
	case *store.TargetAdded:
		if !m.freeName(v.Name, 0, modelKeys(v), e.Time) {
			bad("with a name that something answers to")
		}
	case *store.TargetRenamed:
		if t := m.targets[v.Target]; t == nil || !m.mayAdminister(e) || !m.freeName(v.Name, v.Target, modelKeys(t), e.Time) {
			bad("not by an administrator, or with a name that something answers to")
		}
	case *store.TargetChecked:
		if m.looks[v.Target] != v.Session {
			bad("of a look that began under another name")
		}
	}
}

// mayDirect reports whether somebody may log in past the relay, and whether they may
// after a moment: who may do everything through it, and is granted it.
func (m *model) mayDirect(user store.UserID, signIn, target store.Index, login store.Login, judged, now store.Millis) bool {
	if !m.signedIn(user, signIn, judged) || m.locked(user, target, store.SessionID{}) {
		return false
	}
	st := m.standing(user, m.signIns[signIn].touched, judged, target, login, now)
	bounded := len(st.grants) > 0
	for _, entry := range st.grants {
		bounded = bounded && m.grants[entry].Conditions.Longest != 0
	}
	return !bounded && st.uses["direct"][""] && st.uses["shell"][""] && st.uses["exec"][""] && st.uses["no-tty"][""] && st.uses["sftp"]["read-write"]
}

// judgeDirect looks at each second of a direct certificate's life, and at its entry.
func (m *model) judgeDirect(e *store.Entry, v *store.CertificateIssued, bad func(string)) {
	m.company.Helper()
	if !m.mayDirect(v.User, v.SignIn, v.Target, v.Login, e.Time, e.Time) || v.Expires > m.signIns[v.SignIn].expires || v.Expires > e.Time+300_000 {
		bad("past the relay without a right to it, or for too long")
	}
	for at := e.Time; at < v.Expires; at += 1000 {
		if !m.mayDirect(v.User, v.SignIn, v.Target, v.Login, e.Time, at) {
			bad("past the relay for longer than it is granted")
		}
	}
	if g := m.grants[v.Grant]; g == nil || !slices.Contains(m.standing(v.User, m.signIns[v.SignIn].touched, e.Time, v.Target, v.Login, e.Time).grants, v.Grant) || !readUses(g.For.String())["direct"][""] {
		bad("by a grant that is not for it")
	}
}

// expectDirect says what must have been allowed of direct certificates and names.
func (w *world) expectDirect(cmd access.Command, at store.Millis) (want, known bool) {
	switch c := cmd.(type) {
	case access.IssueDirectCertificate:
		for signIn, x := range w.model.signIns {
			if x.token == c.By.Token && x.key == c.By.Key && w.model.mayDirect(x.user, signIn, w.model.targetNamed(c.Target), c.Login, at, at) {
				return true, true
			}
		}
		return false, true
	case access.RenameTarget:
		target := w.model.targetNamed(c.Name)
		if target == 0 || !w.model.administers(c.By, at) {
			return false, true
		}
		t := w.model.targets[target]
		if w.model.sessions[w.model.looks[target]] != nil {
			return false, true
		}
		_, err := store.ParseTargetName(c.To)
		return err == nil && c.To != "db1.direct" && w.model.freeName(store.TargetName(c.To), target, modelKeys(t), at), true
	}
	return false, false
}

// directCommand draws a wish for a direct certificate, or a new name.
func (w *world) directCommand() access.Command {
	if rapid.IntRange(0, 3).Draw(w.t, "rename") == 3 {
		return w.renameTarget()
	}
	return access.IssueDirectCertificate{
		By: w.caller(), Target: w.anyTarget(), Login: one(w, "as", "root", store.Login(w.anyLogin())), Key: keys().subject,
		Source: "192.0.2.7", Nonce: w.random(), Salt: w.random(),
	}
}

func (w *world) renameTarget() access.Command {
	return access.RenameTarget{By: w.by(), Name: w.anyTarget(), To: one(w, "to", "web1", "db1", "cache", "db1.direct", "-db")}
}
