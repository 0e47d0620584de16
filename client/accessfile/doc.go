// Package accessfile reads and writes access as code: groups, labels of targets,
// grants and guardrails in one YAML file, and works out what would have to change
// for a server to be as the file says.
//
// The file says which sections it manages. Of those it is the whole truth: what
// is there and not in the file goes. What it does not manage stays, and may not
// stand in it. Of targets it manages labels alone, and only of those it names: a
// target is registered, and removed, by an administrator who is shown its keys.
//
// Parse accepts what a person writes and Write writes it in one form, which Parse
// reads as the same. Anchors, aliases, merge keys and tags are refused: a file
// that decides about access reads the same from top to bottom.
//
// The package is pure. It asks no server and changes nothing.
package accessfile
