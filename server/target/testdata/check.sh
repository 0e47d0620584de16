#!/bin/sh
# Tells VaultPAM at pam.example.eu what the ways into this host, its target
# db1, depend on. It reads and changes nothing, and judges nothing: the
# lines that it prints are VaultPAM's to read. To be run as root. Of passwords it
# says whether there is one, never more.
#
# Exit codes: 0, and the last line is "end", however much could not be read; 2
# wrong arguments. SSHD, SSHD_CONFIG, PASSWD, SHADOW and PROC name another sshd
# and other files.
#
# One function, so that a script that was cut does nothing at all.
vaultpam_check() {
	set -fu
	PATH=$PATH:/usr/sbin:/sbin:/usr/bin:/bin
	LC_ALL=C
	export PATH LC_ALL
	tab=$(printf '\t')
	blank=" $tab
"
	IFS=$blank
	conf=${SSHD_CONFIG:-/etc/ssh/sshd_config}
	proc=${PROC:-/proc}
	shadow=${SHADOW:-/etc/shadow}
	sshd=${SSHD:-$(command -v sshd || :)}

	printf 'vaultpam-check\t1\tdb1\n'
	[ -n "${SSHD_CONFIG-}" ] || [ "$(id -u)" = 0 ] || unread "what only root may read: the check did not run as root"
	marks
	configured=0
	configuration "$conf" 0
	printf 'done\tconfiguration\n'
	# The account without a name stands for one that nobody has listed.
	authorities=
	{ printf ':x:65533::::\n'; accounts || printf '!\n'; } | each_account
	passwords
	programs
	printf 'end\n'
}

unread() { printf 'unread\t%s\n' "$*"; }

# The lines of the file $2 that are no comment, as rows that begin with $1.
rows() {
	if [ ! -f "$2" ] || [ ! -r "$2" ]; then unread "$2"; return; fi
	ROW=$1 awk '
		BEGIN { row = ENVIRON["ROW"] }
		/^[ \t\r]*(#|$)/ { next }
		++n > 2000 { exit 1 }
		{ print row "\t" substr($0, 1, 16384) }
	' <"$2" 2>/dev/null || unread "$2 from somewhere on"
}

# Whether the file $1 is there; or may be, where that can't be seen.
there() {
	[ ! -e "$1" ] || return 0
	parent=$1
	while :; do
		case $parent in /*/*) parent=${parent%/*} ;; *) return 1 ;; esac
		[ ! -e "$parent" ] || break
	done
	[ ! -x "$parent" ]
}

# Who set this host up, and who closed it.
marks() {
	etc=$(dirname "$conf")
	[ ! -f "$etc/vaultpam_ca.pub" ] || printf 'setup\t%s\n' "$(sed -n 1p "$etc/vaultpam_ca.pub")"
	if [ -e "$etc/sshd_config.d/0-vaultpam-closed.conf" ] || grep -q '^# VaultPAM closed this host' "$conf" 2>/dev/null; then
		printf 'closed\n'
	fi
}

# The file $1 as sshd reads it, each Include in its place, $2 of them deep.
configuration() {
	configured=$((configured + 1))
	if [ ! -f "$1" ] || [ ! -r "$1" ] || [ $2 -gt 16 ] || [ $configured -gt 500 ]; then unread "$1"; return; fi
	printf 'enter\t%s\n' "$1"
	while IFS= read -r line || [ -n "$line" ]; do
		line=${line#"${line%%[!$tab ]*}"}
		case $line in '' | '#'*) continue ;; esac
		printf 'line\t%s\n' "$line"
		case $line in [Ii][Nn][Cc][Ll][Uu][Dd][Ee]*) ;; *) continue ;; esac
		for pattern in $(printf '%s\n' "${line#???????}" | tr '="' '  '); do
			case $pattern in '#'*) break ;; /*) ;; *) pattern=/etc/ssh/$pattern ;; esac
			set +f
			for included in $pattern; do
				set -f
				[ ! -e "$included" ] || configuration "$included" $(($2 + 1))
			done
			set -f
		done
	done <"$1"
	printf 'leave\t%s\n' "$1"
}

# All accounts in the form of passwd(5), whatever their shells: sshd serves files
# and forwards to those that can't run a command.
accounts() {
	if [ -n "${PASSWD-}" ]; then cat "$PASSWD" 2>/dev/null; return; fi
	printf '%s\n' "sources	$(sed -n 's/^[[:space:]]*passwd:[[:space:]]*//p' /etc/nsswitch.conf 2>/dev/null)"
	if command -v getent >/dev/null; then getent passwd; else cat /etc/passwd; fi
}

each_account() {
	seen=0
	while IFS= read -r entry; do
		case $entry in
		'!') unread "the list of accounts"; continue ;;
		"sources$tab"*) printf '%s\n' "$entry"; continue ;;
		[+-]*) unread "accounts that NIS adds"; continue ;;
		esac
		IFS=:
		set -- $entry
		IFS=$blank
		name=$1 hash=${2-} uid=${3-} home=${6-} shell=${7-}
		seen=$((seen + 1))
		if [ $seen -gt 1000 ]; then unread "accounts after the first 1000"; break; fi
		case $hash in x) hash=shadow ;; '') hash=empty ;; '!'* | '*'*) hash=locked ;; *) hash=set ;; esac
		printf 'account\t%s\t%s\t%s\t%s\n' "$name" "$uid" "$hash" "$shell"
		account </dev/null
	done
	printf 'done\taccounts\n'
}

# What sshd would do for one account, and the files that this leads to.
account() {
	case $name in *,*) unread "settings for the account $name"; return ;; esac
	settings=$("$sshd" -T -f "$conf" -C "user=${name:-vaultpam.nobody},host=localhost,addr=192.0.2.1,laddr=127.0.0.1,lport=22" 2>/dev/null) || {
		unread "sshd's settings${name:+ for the account $name}"
		return
	}
	printf '%s\n' "$settings" | ACCOUNT=$name awk '
		$1 ~ /^(authenticationmethods|pubkeyauthentication|passwordauthentication|kbdinteractiveauthentication|challengeresponseauthentication|hostbasedauthentication|gssapiauthentication|gssapikeyexchange|kerberosauthentication|permitemptypasswords|permitrootlogin|usepam|authorizedkeysfile|authorizedkeyscommand|trustedusercakeys|authorizedprincipalsfile|authorizedprincipalscommand)$/ { k = $1; sub(/^[^ ]+ ?/, ""); print "setting\t" ENVIRON["ACCOUNT"] "\t" k "\t" $0 }
	' || unread "sshd's settings${name:+ for the account $name}"
	ca=$(printf '%s\n' "$settings" | sed -n 's/^trustedusercakeys //p')
	case " $authorities none " in *" $ca "*) ;; *) authorities="$authorities $ca"; rows "authority$tab$ca" "$ca" ;; esac
	[ -n "$name" ] || return
	for pattern in $(printf '%s\n' "$settings" | sed -n 's/^authorizedkeysfile //p'); do
		[ "$pattern" != none ] || continue
		expanded=$(expand "$pattern")
		case $expanded in /*) ;; *) expanded=$home/$expanded ;; esac
		if there "$expanded"; then rows "key$tab$name$tab$expanded" "$expanded"; fi
	done
}

# The tokens of AuthorizedKeysFile (sshd_config(5)).
expand() {
	rest=$1
	while :; do
		case $rest in *%?*) ;; *) break ;; esac
		printf '%s' "${rest%%%*}"
		rest=${rest#*%}
		case $rest in
		h*) printf '%s' "$home" ;;
		u*) printf '%s' "$name" ;;
		U*) printf '%s' "$uid" ;;
		*) printf '%.1s' "$rest" ;;
		esac
		rest=${rest#?}
	done
	printf '%s\n' "$rest"
}

passwords() {
	if [ -e "$shadow" ]; then
		awk -F: '
			NF < 2 || /^[+-]/ { next }
			{ print "password\t" $1 "\t" ($2 == "" ? "empty" : $2 ~ /^[!*]/ ? "locked" : "set") }
		' <"$shadow" 2>/dev/null || unread "$shadow"
	fi
	printf 'done\tpasswords\n'
}

# Other programs that let people in, of those that run now. A container's are
# not this host's.
programs() {
	if [ ! -r "$proc/self/cmdline" ]; then unread "running programs"; return; fi
	mine=$(readlink "$proc/self/ns/pid")
	set +f
	for process in "$proc"/[0-9]*; do
		{ read -r command <"$process/comm"; } 2>/dev/null || continue
		case $command in sshd* | dropbear* | *telnetd* | *rlogind* | *rshd* | *rexecd* | busybox*) ;; *) continue ;; esac
		theirs=$(readlink "$process/ns/pid")
		[ -z "$theirs" ] || [ "$theirs" = "$mine" ] || continue
		arguments=$(tr '\000\n\t' '   ' <"$process/cmdline" 2>/dev/null) || continue
		printf 'program\t%s\t%s\n' "$command" "$arguments"
	done
	set -f
	printf 'done\tprograms\n'
}

case $# in
0) vaultpam_check </dev/null ;;
*) printf 'Usage: sh check.sh\n' >&2; exit 2 ;;
esac
