package server

import "context"

// notices says whether anybody hears of what happens to their account, and signs
// in to the mail server. The webhook is not called: it would take that for a
// notice.
func (d *doctor) notices(ctx context.Context) {
	const name = "notices"
	mail, hook, err := d.config.notices(d.env)
	if err != nil {
		d.ill(name, "mend the file or the configuration; docs/notices.md has every setting", "none can be sent: %v", err)
		return
	}
	says := "to the webhook"
	switch {
	case mail == nil && hook == nil:
		d.well(name, "none are configured, so nobody hears of a new factor or of a recovery but by asking the ledger (docs/notices.md)")
		return
	case mail == nil:
		says += ", and by no mail"
	default:
		if err := mail.Check(ctx); err != nil {
			d.ill(name, "look at notices.smtp in the configuration, and at the mail server", "no mail can be sent: %v", err)
			return
		}
		if d.serves == nil && hook == nil && d.status.Administrators > 0 && d.status.Mailed == 0 {
			d.ill(name, "vaultpam admin user email HANDLE ADDRESS", "mail can be sent, and no administrator has an address, so nobody would hear of a recovery")
			return
		}
		by := "by mail, which " + d.config.Notices.SMTP.Host + " takes"
		if hook == nil {
			says = by
			break
		}
		says = by + ", and " + says
	}
	d.well(name, "%s", says)
}
