package access

// A FindingRule says what findings of a kind are: what is there to see, why it
// matters to somebody who audits, how it is mended, and which controls it concerns.
// The texts are those of docs/findings.md.
type FindingRule struct {
	Kind     FindingKind
	Severity Severity
	What     string
	Why      string
	Mending  string
	Controls string // of ISO/IEC 27001:2022 Annex A, SOC 2 (2017 criteria), NIS2 Article 21(2)

	find func(*finder)
}

// FindingRules are all there are, in the order in which they are told: a kind more
// is a row more. What is high begins with an entry, of which server/notice tells.
func FindingRules() []FindingRule {
	all := highFindings()
	all = append(all, mediumFindings()...)
	return append(all, lowFindings()...)
}

func highFindings() []FindingRule {
	return []FindingRule{
		{
			"self-grant-allowed", High, "The setting `self-grant` lets an administrator give access to themselves.",
			"One person decides, does and could hide it: nobody else has to know.",
			"Have a second administrator, and set it back. A company with a single administrator has nothing else to choose, and its auditor has to know that.",
			"A.5.3, A.8.2; CC6.3; (i)", (*finder).selfGrantAllowed,
		},
		{
			"self-granted", High, "An administrator gave access to themselves, and still has it, whatever the setting says today.",
			"It is the access that nobody else agreed to.",
			"Take the grant away, and have another administrator give it anew if it is needed.",
			"A.5.3, A.5.18; CC6.3; (i)", (*finder).selfGranted,
		},
		{
			"administrator-without-passkey", High, "An administrator signs in by an authenticator app alone.",
			"A code can be talked out of somebody by a page that looks like the server's, a passkey can't; and an administrator opens everything.",
			"The administrator adds a passkey in their browser.",
			"A.8.2, A.8.5; CC6.1; (j)", (*finder).administratorsWithoutPasskey,
		},
		{
			"copied-passkey", High, "A passkey's count went back, so its key is in two places. It signs nobody in any more, and is still there.",
			"Whoever has the copy may have signed in before that was noticed.",
			"Look at the sign-ins of its person (`vaultpam audit ls --type signin.succeeded --user HANDLE`), then they remove it.",
			"A.5.17, A.5.25; CC6.1, CC7.3; (b)", (*finder).copiedPasskeys,
		},
		{
			"recovery-under-way", High, "On the server's own machine somebody is making a person an administrator.",
			"It is the one way to become one without an administrator's word.",
			"Stop it, unless one of you began it.",
			"A.8.2; CC6.3, CC7.2; (i)", (*finder).recoveryUnderWay,
		},
		{
			"open-target", High, "The last check of a target saw other ways in: passwords, keys, other authorities.",
			"Who comes by one is in no entry and no recording, and keeps access that was taken away here.",
			"Look at them (`vaultpam admin target check NAME --last`), and shut them: [doors.md](doors.md).",
			"A.5.15, A.8.9; CC6.1, CC6.6; (i)", (*finder).openTargets,
		},
		{
			"changed-target", High, "The last check of a target saw ways in that the one before had not seen.",
			"Somebody opened them since.",
			"Find out who did. Shutting them mends it; so does the next check, which knows them, and leaves `open-target`.",
			"A.8.9; CC7.1, CC8.1; (b)", (*finder).changedTargets,
		},
		{
			"restored-ledger", High, "The ledger was restored from a backup that lacks entries. It is told for 90 days.",
			"What happened behind the backup is not in it, and whoever restores can choose which backup.",
			"It can't be undone. Have it explained, and compare with the checkpoints that auditors' machines remember: [backup.md](backup.md).",
			"A.8.13, A.8.15; A1.2, CC7.5; (c)", (*finder).restoredLedger,
		},
	}
}

func mediumFindings() []FindingRule {
	return []FindingRule{
		{
			"few-administrators", Medium, "Fewer than two administrators could sign in.",
			"If that one is ill, locked or gone, nobody can lock anybody; and there are no four hands.",
			"Add another one.",
			"A.5.3, A.8.2; CC6.3; (i)", (*finder).fewAdministrators,
		},
		{
			"codes-approve", Medium, "The setting `approve-with` lets approvers use a code.",
			"Such an approval proves nothing to anybody but the server.",
			"Give the approvers passkeys, and set it back.",
			"A.5.33, A.8.5; CC6.1; (j)", (*finder).codesApprove,
		},
		{
			"approved-by-code", Medium, "Somebody has access now by an approval that was given with a code.",
			"Nobody can verify that the approver agreed: it is the server's word.",
			"Take it away and have it requested and approved anew, or wait until it ends.",
			"A.5.18, A.5.33; CC6.3; (i)", (*finder).approvedByCode,
		},
		{
			"root-without-conditions", Medium, "A grant lets somebody log in as root at any time, without an end, a touch or an approval.",
			"A stolen laptop is root then, at night as well; and nobody has to say what for.",
			"Give one with `--touch`, `--hours`, `--until`, or `--approvals`, then take this one away.",
			"A.5.18, A.8.2; CC6.3; (i)", (*finder).rootWithoutConditions,
		},
		{
			"every-target", Medium, "A grant is for every target (`*`).",
			"It grows by itself: who registers a host opens it to them.",
			"Give one by labels, then take this one away.",
			"A.5.15, A.8.3; CC6.3; (i)", (*finder).everyTarget,
		},
		{
			"past-the-relay", Medium, "A grant is for `direct`: past the relay, with a certificate for the host itself.",
			"Nothing is recorded, and neither a lock nor the grant's end ends a session that runs.",
			"Take it away, or forbid `direct` to everybody on `*`, which ends the finding for all of them.",
			"A.8.15; CC6.1, CC7.2; (i)", (*finder).pastTheRelay,
		},
		{
			"device-login-anywhere", Medium, "The setting `device-login` lets a sign-in be confirmed for a machine in another network.",
			"It is how codes are phished: a stranger begins, and somebody is asked to confirm.",
			"Set it back, or to `off`.",
			"A.8.5; CC6.1; (j)", (*finder).deviceLoginAnywhere,
		},
		{
			"idle-user", Medium, "A person or a bot has not signed in for 90 days, and is not locked.",
			"Accounts that nobody misses are the ones whose theft nobody notices.",
			"Remove them. Who comes back is invited anew.",
			"A.5.16, A.5.18; CC6.2; (i)", (*finder).idleUsers,
		},
		{
			"old-bot-key", Medium, "A bot's key is older than a year.",
			"Nobody knows in which backups and images it lies by now.",
			"Add another one (`vaultpam admin bot key add`), have the bot use it, then take the old one away.",
			"A.5.17; CC6.1; (i)", (*finder).oldBotKeys,
		},
		{
			"unchecked-target", Medium, "Nobody ever looked which other ways into a target there are.",
			"Every answer about who could reach it stands on nothing but hope.",
			"Look.",
			"A.8.9; CC7.1; (i)", (*finder).uncheckedTargets,
		},
		{
			"overdue-check", Medium, "The last check of a target that succeeded is a week old.",
			"What was opened since is not known. Each night's look fails, or they are off.",
			"Look, and read why it fails.",
			"A.8.9; CC7.1; (i)", (*finder).overdueChecks,
		},
		{
			"reset-clock", Medium, "Somebody accepted another time for the ledger. It is told for 90 days.",
			"Entries before it may be dated wrongly, so a question about those days may be answered for others.",
			"It can't be undone. Read the entries around it.",
			"A.8.15, A.8.17; CC7.2; (b)", (*finder).resetClock,
		},
	}
}

func lowFindings() []FindingRule {
	return []FindingRule{
		{
			"no-independent-auditor", Low, "No auditor could sign in who is not an administrator as well.",
			"Who administers should not be the one who looks at it.",
			"Add an auditor; it may be somebody from outside.",
			"A.5.3, A.5.35; CC4.1; (f)", (*finder).noIndependentAuditor,
		},
		{
			"user-without-passkey", Low, "A person who is no administrator signs in by an authenticator app alone.",
			"A code can be talked out of somebody, a passkey can't.",
			"The person adds a passkey in their browser.",
			"A.8.5; CC6.1; (j)", (*finder).usersWithoutPasskey,
		},
		{
			"recovery-codes-low", Low, "A person has two recovery codes left, or fewer.",
			"Who loses their factor then needs an administrator's invitation, which is a way in of its own. Codes that go fast are worth a question.",
			"The person makes new ones.",
			"A.5.17; CC6.1; (j)", (*finder).recoveryCodesLow,
		},
		{
			"unused-grant", Low, "Nobody logged in by a grant, or requested by it, for 90 days.",
			"Access that nobody needs is what a thief finds.",
			"Take it away.",
			"A.5.18; CC6.2, CC6.3; (i)", (*finder).unusedGrants,
		},
		{
			"unused-bot-key", Low, "A key of a bot was not used for 90 days, while the bot signs in by another.",
			"It was left behind somewhere.",
			"Take it away.",
			"A.5.17; CC6.1; (i)", (*finder).unusedBotKeys,
		},
		{
			"idle-guardrail", Low, "A guardrail forbids nothing: it ended, or there is nobody, no target or no login that it is about.",
			"It looks like a protection in every list. A label was misspelt, or something was removed.",
			"Mend its labels or give another one, then take it away.",
			"A.5.15, A.8.9; CC6.1; (i)", (*finder).idleGuardrails,
		},
		{
			"unseen-target", Low, "The last check of a target could not look at everything.",
			"What it could not see may be open.",
			"Read what it was (`vaultpam admin target check NAME --last`), and look with a login that may: [doors.md](doors.md).",
			"A.8.9; CC7.1; (i)", (*finder).unseenTargets,
		},
		{
			"long-lock", Low, "A person, a bot or a target is locked for more than 30 days.",
			"A lock is for the moment: unlocking gives back everything at once, after everybody forgot why.",
			"Remove them, or unlock.",
			"A.5.16, A.5.18; CC6.2; (i)", (*finder).longLocks,
		},
		{
			"long-sign-ins", Low, "The setting `sign-in-life` is more than a day.",
			"Who finds an open laptop has that long.",
			"Set it back.",
			"A.8.5; CC6.1; (j)", (*finder).longSignIns,
		},
	}
}
