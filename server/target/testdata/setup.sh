#!/bin/sh
# Makes this host trust VaultPAM at pam.example.eu, as the target db1.
#
#   sh setup.sh          sets the host up; a closed host stays closed
#   sh setup.sh --close  shuts every other way in that sshd knows
#   sh setup.sh --open   takes that back, and nothing else
#   sh setup.sh --undo   takes everything out again
#
# Each may be run again. sshd then accepts certificates of the authorities below
# for the principal LOGIN@db1 and no other. Every other way into the host
# stays as it is until --close, which refuses on a host that is not set up.
#
# Exit codes: 0 done, or nothing to do; 1 refused, and the host is as it was;
# 2 wrong arguments; 3 done, but sshd has to be reloaded by hand (it says how):
# until then the sshd that runs does as before.
# SSHD and SSHD_CONFIG name another sshd and another configuration file.
set -eu
umask 022
PATH=$PATH:/usr/sbin:/sbin:/usr/bin:/bin
LC_ALL=C
export PATH LC_ALL

say() { printf '%s\n' "$*"; }
refuse() { say "Refused: $*" >&2; exit 1; }

case $#,${1-} in
0,) mode=setup ;;
1,--close | 1,--open | 1,--undo) mode=${1#--} ;;
*) say "Usage: sh setup.sh [--close | --open | --undo]" >&2; exit 2 ;;
esac

conf=${SSHD_CONFIG:-/etc/ssh/sshd_config}
etc=$(dirname "$conf")
ca=$etc/vaultpam_ca.pub
dropin=$etc/sshd_config.d/00-vaultpam.conf
# The first block that matches wins: this name sorts before every NN-name.conf.
closing=$etc/sshd_config.d/0-vaultpam-closed.conf
sshd=${SSHD:-$(command -v sshd || :)}
[ -n "${SSHD_CONFIG-}" ] || [ "$(id -u)" = 0 ] || refuse "this changes sshd's configuration; run it as root."
[ -x "$sshd" ] || refuse "there is no sshd here. Install the OpenSSH server, or set SSHD to its path."
[ -f "$conf" ] || refuse "there is no $conf. Set SSHD_CONFIG to sshd's configuration file."
case $conf in /*) ;; *) refuse "SSHD_CONFIG is not an absolute path." ;; esac
case $conf in *[!A-Za-z0-9/._-]*) refuse "$conf holds characters that mean something in sshd_config." ;; esac
conf=$(readlink -f "$conf") # a link stays a link
id nobody >/dev/null 2>&1 || refuse "there is no account nobody, and sshd needs it to run a harmless command."
for echo in /usr/bin/echo /bin/echo ''; do [ ! -x "$echo" ] || break; done
[ -n "$echo" ] || refuse "there is neither /usr/bin/echo nor /bin/echo, and sshd needs one."

authorities() {
	cat <<'END'
# VaultPAM at pam.example.eu: authorities that may sign certificates for db1.
# The target CA: one key, or two while a new one takes over.
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU
# The emergency CA, for when VaultPAM is down.
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO1JKMYo0cLG6ukDOJBZlWEpWSc6XGP5NjbBRhSshzfR
END
}

directives() {
	cat <<END
TrustedUserCAKeys $ca
AuthorizedPrincipalsFile none
AuthorizedPrincipalsCommand $echo %u@db1
AuthorizedPrincipalsCommandUser nobody
END
}

# What closes every other way in. AuthorizedPrincipalsCommand comes before
# AuthorizedKeysCommand: some releases drop it where it comes after.
closed() {
	cat <<END
AuthenticationMethods publickey
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
HostbasedAuthentication no
PermitEmptyPasswords no
AuthorizedKeysFile none
AuthorizedKeysCommand $echo -n
AuthorizedKeysCommandUser nobody
END
	# Up to 8.6 this is a setting of its own, which no Match block may hold.
	if [ -z "$place" ] && [ -n "$challenge" ]; then say "ChallengeResponseAuthentication no"; fi
}

# All that the host shall do. Inside a Match block sshd takes the none of
# AuthorizedPrincipalsFile for a file of that name in the account's home. The
# path that stands there instead can't exist, and its absence is not worth a line
# of sshd's log.
wanted() {
	if [ $close = yes ] && [ -n "$place" ]; then
		directives | sed 's,^\(AuthorizedPrincipalsFile\) none$,\1 /proc/vaultpam/none,'
	else
		directives
	fi
	if [ $close = yes ]; then closed; else say "PubkeyAuthentication yes"; fi
}

# What sshd would do for the account $1, Match blocks included.
effective() {
	"$sshd" -T -f "$conf" -C "user=$1,host=localhost,addr=192.0.2.1,laddr=127.0.0.1,lport=22" 2>&1
}
value() { sed -n "s/^$1 //p"; } # of one keyword, in what effective printed

# Where lines of the configuration speak about the keyword $1.
places() {
	grep -Hin "^[[:space:]]*$1[[:space:]=]" "$conf" "$etc"/sshd_config.d/*.conf 2>/dev/null | sed 's/^/  /' || :
}

# The accounts that the effect is tried with.
accounts() {
	say root
	say nobody
	[ $close = no ] ||
		sed -n '/\(nologin\|false\)$/d; s/^\([A-Za-z0-9_][A-Za-z0-9._@-]*\):.*/\1/p' /etc/passwd | grep -vx root | head -n 20
}

# The files whose Match blocks sshd meets before the closing, or whose blocks
# would outdo it: with a 1 before those that are, or may be, inside one as a whole.
earlier() {
	if [ -n "$place" ]; then
		for earlier in "$place"/*.conf; do
			[ "$earlier" != "$closing" ] || break
			say "0 $earlier"
		done
	else
		say "0 $conf"
		inside=$(awk '{ key = tolower($1) } key == "match" { m = 1 } key == "include" && m { i = 1 } END { print i + 0 }' "$conf")
		for earlier in $(sed -n 's/^[[:space:]]*[Ii][Nn][Cc][Ll][Uu][Dd][Ee][[:space:]=]*//p' "$conf"); do
			case $earlier in /*) ;; *) earlier=$etc/$earlier ;; esac
			[ ! -f "$earlier" ] || say "$inside $earlier"
		done
	fi
}

# Lines of Match blocks that say otherwise than the closing and come first,
# whatever they match: not every condition can be tried.
outdoing() {
	wanted >"$work/wanted"
	earlier | while read -r inside file; do
		awk -v inside="$inside" -v name="$file" -v conf="$conf" '
			{ key = tolower($0); sub(/^[ \t]+/, "", key); value = key
			  sub(/[^a-z].*/, "", key); sub(/^[a-z]+[ \t=]*/, "", value); sub(/[ \t\r]+$/, "", value) }
			NR == FNR { want[key] = value; next }
			key == "match" { inside = 1; next }
			key == "include" && name != conf || inside + 0 && key in want && want[key] != value { print "  " name ":" FNR ":" $0 }
		' "$work/wanted" "$file" || say "  $file can't be read"
	done
}

# Whether sshd would do what is wanted, and else what it did before. A Match
# block outdoes us, and of two other lines the first or the last counts, by
# keyword and by release.
in_force() {
	if [ $close = yes ]; then
		outdone=$(outdoing)
		[ -z "$outdone" ] || { say "In a Match block, or another file, these lines come before VaultPAM's:"; say "$outdone"; return 1; }
	fi
	for account in $(accounts); do
		now=$(effective "$account") || { say "sshd -T failed: $now"; return 1; }
		wanted | while read -r keyword want; do
			keyword=$(say "$keyword" | tr '[:upper:]' '[:lower:]')
			is=$(say "$now" | value "$keyword")
			[ "$is" != "$want" ] || continue
			say "For the account $account sshd would use \"$keyword $is\" instead of \"$want\". It is set here:"
			places "$keyword"
			exit 1
		done || return 1
		[ "$account" = root ] && [ "$(others "$now")" != "$(others "$before")" ] || continue
		say "sshd would change settings that VaultPAM leaves alone."
		return 1
	done
}
others() { say "$1" | grep -Ev ' line [0-9]+: |^(trustedusercakeys|auth|pubkeyauth|passwordauth|kbdinteractive|challengeresp|hostbasedauth|permitempty)'; }

out_of_force() {
	now=$(effective root) || { say "sshd -T failed: $now"; return 1; }
	[ "$(say "$now" | value trustedusercakeys)" = "$ca" ] || return 0
	say "$ca is still in use. It is set here:"
	places trustedusercakeys
	return 1
}

reload() {
	by_hand="kill -HUP PID, with the process ID of the sshd that listens"
	if [ -z "${SSHD_CONFIG-}" ] && [ -d /run/systemd/system ]; then
		by_hand="systemctl reload ssh || systemctl reload sshd"
		for unit in ssh sshd; do
			if systemctl -q is-active $unit.service; then systemctl reload $unit.service && return 0; fi
		done
		# Started by its socket, sshd reads its configuration then.
		for unit in ssh sshd; do
			if systemctl -q is-active $unit.socket; then return 0; fi
		done
	elif [ -z "${SSHD_CONFIG-}" ] && command -v service >/dev/null; then
		for name in ssh sshd; do
			if service $name reload >/dev/null 2>&1; then return 0; fi
		done
	fi
	pid=$(cat "$(effective root | value pidfile)" 2>/dev/null) || pid=
	if [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = sshd ]; then
		kill -HUP "$pid" && return 0
	fi
	say "sshd was not reloaded: no running one was found. Once it runs, this does it:" >&2
	say "  $by_hand" >&2
	exit 3
}

# Until the end is good, finish puts back what was there: by renaming, which a
# full disk can't stop.
work=$(mktemp -d)
changed= # of the files ca, dropin, closing and conf, those that shall
changing=no
path=
finish() {
	status=$?
	trap - EXIT
	trap '' HUP INT TERM
	set +e
	for file in $changed; do
		eval "path=\$$file"
		if [ $changing = yes ]; then
			if [ -e "$path.vaultpam-old" ]; then mv -f "$path.vaultpam-old" "$path"; else rm -f "$path"; fi
		fi
		rm -f "$path.vaultpam-old" "$path.vaultpam-new"
	done
	rm -rf "$work"
	[ $changing = no ] || say "Everything is as it was before." >&2
	exit $status
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

said=$("$sshd" -t -f "$conf" 2>&1) || refuse "sshd does not accept its present configuration. Mend that first: $said"
before=$(effective root) || refuse "sshd can't show its present configuration: $before"
challenge=$(say "$before" | value challengeresponseauthentication)
[ "$(grep -c '^# BEGIN VaultPAM$' "$conf")" = "$(grep -c '^# END VaultPAM$' "$conf")" ] ||
	refuse "the lines # BEGIN VaultPAM and # END VaultPAM in $conf don't match. Take them out by hand."

# The new state, in $work: a file that is missing there shall be missing.
sed '/^# BEGIN VaultPAM$/,/^# END VaultPAM$/d' "$conf" >"$work/rest"
close=no
place=
if [ $mode = undo ]; then
	cp "$work/rest" "$work/conf"
else
	trusted=$(say "$before" | value trustedusercakeys)
	case $trusted in none | "$ca") ;; *)
		refuse "sshd trusts another user CA already ($trusted), and it can have one such file. If that CA is no longer needed, take its line out and run this again."
		;;
	esac
	if [ -e "$ca" ] && ! grep -qF '# VaultPAM at pam.example.eu: ' "$ca"; then
		refuse "this host is set up for another VaultPAM ($(sed -n '1s/.* at \(.*\):.*/\1/p' "$ca")). Run that one's script with --undo first."
	fi
	if [ $mode != setup ] && { [ ! -e "$ca" ] || [ "$(head -n 1 "$ca")" != "$(authorities | head -n 1)" ] || [ "$trusted" = none ]; }; then
		refuse "this host is not set up for VaultPAM at pam.example.eu as db1. Run this without arguments first."
	fi
	if [ -e "$closing" ] || grep -q '^# VaultPAM closed this host' "$conf"; then close=yes; fi
	case $mode in close) close=yes ;; open) close=no ;; esac
	authorities >"$work/ca"
	# The drop-in counts where its Include comes before anything that could
	# outdo it; elsewhere the directives go to the top.
	first=$(grep -iE '^[[:space:]]*(include|match|trustedusercakeys|authorizedprincipals|pubkeyauthentication)' "$work/rest" | head -n 1 || :)
	case $first in
	[Ii]nclude*"$etc/sshd_config.d/*.conf"*) place=$(dirname "$dropin") ;;
	esac
	[ -d "$place" ] || place=
	note="# VaultPAM closed this host to everybody else. Its set-up script opens it with --open."
	if [ -n "$place" ]; then
		directives >"$work/dropin"
		if [ $close = yes ]; then { say "$note"; say "Match all"; wanted; } >"$work/closing"; fi
		cp "$work/rest" "$work/conf"
	else
		{
			say "# BEGIN VaultPAM"
			directives
			if [ $close = yes ]; then say "$note"; closed; fi
			say "# END VaultPAM"
			cat "$work/rest"
		} >"$work/conf"
	fi
fi

# What is to be said at the end.
case $mode$close in
undo*) done="VaultPAM is taken out of $conf." already="Nothing to take out: this host is not set up for VaultPAM." ;;
setup*) done="This host trusts VaultPAM at pam.example.eu as db1." already="Nothing to change: this host trusts VaultPAM at pam.example.eu as db1 already." ;;
close*) done="Closed: sshd lets in whom VaultPAM at pam.example.eu or the emergency CA certifies for db1, and nobody else." already="Nothing to change: closed already." ;;
open*) done="Open: the other ways into this host are as they were before --close." already="Nothing to change: this host is not closed." ;;
esac

differ() {
	if [ -e "$1" ] && [ -e "$2" ]; then [ "$(cat "$1")" != "$(cat "$2")" ]; else [ -e "$1" ] || [ -e "$2" ]; fi
}
for file in ca dropin closing conf; do
	eval "path=\$$file"
	rm -f "$path.vaultpam-old" "$path.vaultpam-new" # of a run that was killed
	if differ "$path" "$work/$file"; then changed="$changed $file"; fi
done
if [ -z "$changed" ]; then
	[ $mode = undo ] || in_force >&2 || refuse "the host is set up, but another line outdoes that. Take it out and run this again."
	say "$already"
	# A run that was killed may have changed the files and not told sshd.
	case $mode in close | open) reload; say "sshd was reloaded." ;; esac
	exit 0
fi

# First everything that needs room, then only renames.
stage() {
	if [ -e "$path" ]; then ln "$path" "$path.vaultpam-old" && cp -p "$path" "$path.vaultpam-new" || return 1; fi
	if [ -e "$work/$file" ]; then cat "$work/$file" >"$path.vaultpam-new"; fi
}
for file in $changed; do
	eval "path=\$$file"
	stage || refuse "$path can't be written anew, so nothing was changed. Is the disk full?"
done
changing=yes
for file in $changed; do
	eval "path=\$$file"
	if [ -e "$work/$file" ]; then mv -f "$path.vaultpam-new" "$path"; else rm -f "$path"; fi
done

said=$("$sshd" -t -f "$conf" 2>&1) || refuse "sshd does not accept the new configuration: $said"
if [ $mode = undo ]; then
	out_of_force >&2 || refuse "taking VaultPAM out had no effect."
else
	in_force >&2 || refuse "another line outdoes VaultPAM's. Take it out and run this again."
fi
changing=no
say "$done"
reload
say "sshd was reloaded."
