package store

import "slices"

// Within reports whether purposes allow nothing that others do not. Limits are
// compared as they are written, and never by what they fit: one that is narrower
// than another in effect, but for reading in place of reading and writing by sftp,
// does not count as within it.
func (ps Purposes) Within(others Purposes) bool {
	for _, u := range ps {
		o, ok := others.use(u.Purpose)
		switch {
		case !ok:
			return false
		case len(o.Limits) == 0:
		case len(u.Limits) == 0:
			return false
		case u.Purpose == PurposeSFTP && slices.Contains(o.Limits, string(SFTPReadWrite)):
		case slices.ContainsFunc(u.Limits, func(l string) bool { return !slices.Contains(o.Limits, l) }):
			return false
		}
	}
	return true
}
