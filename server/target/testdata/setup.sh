#!/bin/sh
# Makes this host trust VaultPAM at pam.example.eu, as the target db1.
#
#   sh setup.sh          sets the host up; run again, it changes nothing
#   sh setup.sh --undo   takes everything out again
#
# sshd then accepts certificates of the authorities below for the principal
# LOGIN@db1 and no other. Every other way into the host stays as it is.
#
# Exit codes: 0 done, or nothing to do; 1 refused, and the host is as it was;
# 2 wrong arguments; 3 done, but sshd has to be reloaded by hand (it says how).
# SSHD and SSHD_CONFIG name another sshd and another configuration file.
set -eu
umask 022
PATH=$PATH:/usr/sbin:/sbin:/usr/bin:/bin
LC_ALL=C
export PATH LC_ALL

say() { printf '%s\n' "$*"; }
refuse() { say "Refused: $*" >&2; exit 1; }

undo=no
case $#,${1-} in
0,) ;;
1,--undo) undo=yes ;;
*) say "Usage: sh setup.sh [--undo]" >&2; exit 2 ;;
esac

conf=${SSHD_CONFIG:-/etc/ssh/sshd_config}
etc=$(dirname "$conf")
ca=$etc/vaultpam_ca.pub
dropin=$etc/sshd_config.d/00-vaultpam.conf
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

# What sshd would do for the account $1, Match blocks included.
effective() {
	"$sshd" -T -f "$conf" -C "user=$1,host=localhost,addr=192.0.2.1,laddr=127.0.0.1,lport=22" 2>&1
}
value() { sed -n "s/^$1 //p"; } # of one keyword, in what effective printed

# Where lines of the configuration speak about the keyword $1.
places() {
	grep -Hin "^[[:space:]]*$1[[:space:]=]" "$conf" "$etc"/sshd_config.d/*.conf 2>/dev/null | sed 's/^/  /' || :
}

# Whether sshd would do what the directives say. A Match block outdoes them, and
# of two other lines the first or the last counts, by keyword and by release.
in_force() {
	for account in root nobody; do
		now=$(effective $account) || { say "sshd -T failed: $now"; return 1; }
		{ directives; say "PubkeyAuthentication yes"; } | while read -r keyword want; do
			keyword=$(say "$keyword" | tr '[:upper:]' '[:lower:]')
			is=$(say "$now" | value "$keyword")
			[ "$is" != "$want" ] || continue
			say "For the account $account sshd would use \"$keyword $is\" instead of \"$want\". It is set here:"
			places "$keyword"
			exit 1
		done || return 1
	done
}

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
changed= # of the files ca, dropin and conf, those that shall
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
now=$(effective root) || refuse "sshd can't show its present configuration: $now"
[ "$(grep -c '^# BEGIN VaultPAM$' "$conf")" = "$(grep -c '^# END VaultPAM$' "$conf")" ] ||
	refuse "the lines # BEGIN VaultPAM and # END VaultPAM in $conf don't match. Take them out by hand."

# The new state, in $work: a file that is missing there shall be missing.
sed '/^# BEGIN VaultPAM$/,/^# END VaultPAM$/d' "$conf" >"$work/rest"
if [ $undo = yes ]; then
	cp "$work/rest" "$work/conf"
else
	trusted=$(say "$now" | value trustedusercakeys)
	case $trusted in none | "$ca") ;; *)
		refuse "sshd trusts another user CA already ($trusted), and it can have one such file. If that CA is no longer needed, take its line out and run this again."
		;;
	esac
	if [ -e "$ca" ] && ! grep -qF '# VaultPAM at pam.example.eu: ' "$ca"; then
		refuse "this host is set up for another VaultPAM ($(sed -n '1s/.* at \(.*\):.*/\1/p' "$ca")). Run that one's script with --undo first."
	fi
	authorities >"$work/ca"
	# The drop-in counts where its Include comes before anything that could
	# outdo it; elsewhere the directives go to the top.
	first=$(grep -iE '^[[:space:]]*(include|match|trustedusercakeys|authorizedprincipals|pubkeyauthentication)' "$work/rest" | head -n 1 || :)
	case $first in
	[Ii]nclude*"$etc/sshd_config.d/*.conf"*) place=$(dirname "$dropin") ;;
	*) place= ;;
	esac
	if [ -n "$place" ] && [ -d "$place" ]; then
		directives >"$work/dropin"
		cp "$work/rest" "$work/conf"
	else
		{ say "# BEGIN VaultPAM"; directives; say "# END VaultPAM"; cat "$work/rest"; } >"$work/conf"
	fi
fi

differ() {
	if [ -e "$1" ] && [ -e "$2" ]; then [ "$(cat "$1")" != "$(cat "$2")" ]; else [ -e "$1" ] || [ -e "$2" ]; fi
}
for file in ca dropin conf; do
	eval "path=\$$file"
	rm -f "$path.vaultpam-old" "$path.vaultpam-new" # of a run that was killed
	if differ "$path" "$work/$file"; then changed="$changed $file"; fi
done
if [ -z "$changed" ]; then
	if [ $undo = yes ]; then
		say "Nothing to take out: this host is not set up for VaultPAM."
		exit 0
	fi
	in_force >&2 || refuse "the host is set up, but another line outdoes that. Take it out and run this again."
	say "Nothing to change: this host trusts VaultPAM at pam.example.eu as db1 already."
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
if [ $undo = yes ]; then
	out_of_force >&2 || refuse "taking VaultPAM out had no effect."
else
	in_force >&2 || refuse "another line outdoes VaultPAM's. Take it out and run this again."
fi
changing=no
if [ $undo = yes ]; then
	say "VaultPAM is taken out of $conf."
else
	say "This host trusts VaultPAM at pam.example.eu as db1."
fi
reload
say "sshd was reloaded."
