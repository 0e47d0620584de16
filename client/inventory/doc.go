// Package inventory reads what a company already has about its hosts, Ansible
// inventories and OpenSSH's known_hosts, into targets that an administrator may
// register.
//
// What comes out are proposals. Each says what is missing or doubtful about it;
// none is taken without somebody's looking at it, its host keys above all. Files
// are read as their own programs read them, and where a file says what can't be
// read here (templates, vaults, hashed names) that is said and never guessed.
//
// The package is pure. It resolves no name, connects to nothing and runs nothing
// that an inventory may name.
package inventory
