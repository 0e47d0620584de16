package server

import (
	"context"
	"net/http"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/target"
	"github.com/vaultpam/vaultpam/store"
)

// The routes of the unix socket, for the administrator on the server's own
// machine. Whoever can open the socket could read the keys beside it: that is
// all the proof there is, and entries made here say so.
var (
	RouteLocalStatus = api.Route{Method: "GET", Path: "/v1/local/status", Who: api.WhoAnybody, Does: "how the server is"}
	RouteLocalSetup  = api.Route{Method: "GET", Path: "/v1/local/setup/{name}", Who: api.WhoAnybody, Does: "the script that sets a target up"}
	// RouteLocalPlaybook is a POST because a playbook may be for no target by name.
	RouteLocalPlaybook = api.Route{Method: "POST", Path: "/v1/local/playbook", Who: api.WhoAnybody, Does: "the Ansible playbook that sets a target up, or an inventory"}
	RouteLocalClock    = api.Route{Method: "POST", Path: "/v1/local/clock", Who: api.WhoAnybody, Does: "accept the clock as right"}
	RouteLocalSetting  = api.Route{Method: "POST", Path: "/v1/local/setting", Who: api.WhoAnybody, Does: "change a setting"}
	// RouteLocalSettings lists what the settings are.
	RouteLocalSettings = api.Route{Method: "GET", Path: "/v1/local/settings", Who: api.WhoAnybody, Does: "all settings"}
	RouteLocalSSO      = api.Route{Method: "POST", Path: "/v1/local/sso", Who: api.WhoAnybody, Does: "what somebody's claims would give"}
)

// LocalStatus says how the server is.
type LocalStatus struct {
	Info     api.Info `json:"info"`
	Sessions int      `json:"sessions"` // live
	Users    int      `json:"users"`
	Targets  int      `json:"targets"`
	// LastEntry is the time of the ledger's last entry.
	LastEntry time.Time `json:"last_entry"`
	// Administrators counts those who have enrolled, and Mailed those of them who
	// have an address for notices.
	Administrators int `json:"administrators"`
	Mailed         int `json:"mailed"`
}

// LocalScript is the script that sets a target up.
type LocalScript struct {
	Script string `json:"script"`
}

// LocalPlaybook says whom a playbook is for: a target, or where it is empty the
// hosts of an inventory.
type LocalPlaybook struct {
	Target string `json:"target,omitempty"`
}

// LocalSetting changes a setting, or says what it is.
type LocalSetting struct {
	Setting string `json:"setting"`
	Value   string `json:"value"`
	// Default is what counts where nobody has decided; it is only in answers.
	Default string `json:"default,omitempty"`
}

func (n *Node) localHandler() http.Handler {
	return n.routed([]handler{
		on(n, RouteLocalStatus, n.localStatus),
		on(n, RouteLocalSetup, n.localSetup),
		on(n, RouteLocalPlaybook, n.localPlaybook),
		on(n, RouteLocalSetting, n.localSetting),
		on(n, RouteLocalSettings, n.localSettings),
		on(n, RouteLocalClock, n.localClock),
		on(n, RouteLocalRecovery, n.localRecovery),
		on(n, RouteLocalRecover, n.localRecover),
		on(n, RouteLocalRecoveryStop, n.localRecoveryStop),
		on(n, RouteLocalSSO, n.localSSO),
		{RouteLocalBackup, n.localBackup},
	})
}

func (n *Node) localStatus(context.Context, call, api.Empty) (LocalStatus, error) {
	return n.Describe(), nil
}

// Describe says how the server is.
func (n *Node) Describe() LocalStatus {
	s := n.ledger.State()
	r := LocalStatus{Info: n.info(), LastEntry: s.Time().Time()}
	for range s.Sessions() {
		r.Sessions++
	}
	for u := range s.Users() {
		r.Users++
		if u.Has(store.RoleAdministrator) && u.Enrolled() {
			r.Administrators++
			if u.Contact != (store.Commitment{}) {
				r.Mailed++
			}
		}
	}
	for range s.Targets() {
		r.Targets++
	}
	return r
}

func (n *Node) localSetup(_ context.Context, c call, _ api.Empty) (LocalScript, error) {
	text, err := n.SetupScript(c.param("name"))
	return LocalScript{Script: text}, err
}

func (n *Node) localPlaybook(_ context.Context, _ call, q LocalPlaybook) (LocalScript, error) {
	text, err := n.SetupPlaybook(q.Target)
	return LocalScript{Script: text}, err
}

func (n *Node) localSetting(ctx context.Context, _ call, q LocalSetting) (api.Empty, error) {
	_, err := n.ledger.Do(ctx, access.ChangeSetting{
		By: access.Caller{Local: true}, Setting: store.Setting(q.Setting), Value: q.Value,
	})
	return api.Empty{}, err
}

func (n *Node) localSettings(context.Context, call, api.Empty) ([]LocalSetting, error) {
	s, all := n.ledger.State(), []LocalSetting{}
	for _, name := range store.Settings() {
		all = append(all, LocalSetting{Setting: string(name), Value: s.Setting(name), Default: name.Default()})
	}
	return all, nil
}

func (n *Node) localClock(ctx context.Context, _ call, _ api.Empty) (api.Empty, error) {
	return api.Empty{}, n.AcceptClock(ctx)
}

// AcceptClock says that the server's clock is right, whatever the ledger or the
// second clock say. It is an entry.
func (n *Node) AcceptClock(ctx context.Context) error {
	_, err := n.ledger.Do(ctx, access.AcceptClock{By: access.Caller{Local: true}})
	return err
}

// SetupScript returns the script that makes a host trust this server under a
// target's name. The target need not be registered yet.
func (n *Node) SetupScript(name string) (string, error) {
	t, err := store.ParseTargetName(name)
	if err != nil {
		return "", api.NewError(api.KindInvalid, "", "%v", err)
	}
	return target.Script(n.setup(t))
}

// SetupPlaybook returns the Ansible playbook that does what the script does, for
// one target or, without a name, for the hosts of an inventory.
func (n *Node) SetupPlaybook(name string) (string, error) {
	if name == "" {
		return target.Playbook(n.setup(""))
	}
	t, err := store.ParseTargetName(name)
	if err != nil {
		return "", api.NewError(api.KindInvalid, "", "%v", err)
	}
	return target.Playbook(n.setup(t))
}
