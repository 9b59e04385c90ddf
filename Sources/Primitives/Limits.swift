// Every table, queue, line, file and time of Panguard has its limit here: unit, reason, and what happens beyond it.
// A limit without a counter that `panguard status` shows is a bug.

public enum Limits {
  /// Bytes of one log line that are kept. Longer lines are cut here, counted, and skipped to their newline.
  /// syslog's own limit is 8 KiB by default (rsyslog $maxMessageSize); 64 KiB leaves room for JSON access logs.
  @inlinable public static var lineBytes: Int { 64 * 1024 }
  /// Buffer of one input that is replayed, and of one followed file. At least twice `lineBytes`, so that a longest line and the
  /// start of the next fit; never grows. A reader that is not asked for lines reads nothing.
  public static let replayBufferBytes = 256 * 1024
  public static let tailBufferBytes = 128 * 1024
  /// Memory of one xz decoder. `xz -9` needs 65 MiB; a file that asks for more is refused, with what it asks for.
  public static let xzDecoderBytes: UInt64 = 96 * 1024 * 1024
  /// Rotated versions of one log that are looked at when a place is searched. The oldest beyond it are not looked at.
  public static let rotatedFiles = 512
  /// Entries of one directory that are looked at for rotated versions. Beyond it the rest is not looked at, and is counted.
  public static let directoryEntries = 65_536
  /// Files that one set of path patterns may follow. Beyond it, in the order of their names, they are refused and counted.
  public static let followedFiles = 1024
  /// How long a renamed file must have been silent before its successor is read: a service reopens its log within this time.
  /// Lines that come later still are read for `rotatedFileLinger`, after lines of the successor.
  public static let rotationGrace = Nanoseconds.seconds(1)
  public static let rotatedFileLinger = Nanoseconds.seconds(300)
  /// Bytes of a file that are searched for the place where reading stopped, when the file was rewritten by an editor.
  public static let rewriteSearchBytes: UInt64 = 256 * 1024 * 1024
  /// Fields of one journal entry besides its message, in bytes. What does not fit is cut and counted.
  public static let journalFieldBytes = 64 * 1024
  /// Processes of one source that were vouched for and may end before their last message is read; a power of two. A further one takes the
  /// place of one with a similar number, which is counted: its later messages may then be taken as claimed.
  public static let vouchedProcesses = 4096
  /// How long after its last attested message such a process is still believed. LoginGraceTime is 120 s by default.
  public static let vouchedProcessLifetime = Nanoseconds.seconds(150)

  /// Bytes of decoded or derived text (unescaped JSON, decoded URLs) that one event may add to its raw line.
  /// Beyond it the value is cut and the event is marked truncated.
  @inlinable public static var derivedBytes: Int { 64 * 1024 }
  /// Fields outside the field table (key=value, JSON) in one event. More are dropped and counted in the event.
  public static let extraFields = 64
  /// Nesting of a JSON document. Deeper is an error: nothing that a log writes needs more.
  public static let jsonDepth = 32

  /// Pairs read from one key=value message. Beyond it the message does not count as nothing but pairs, so that no address is taken
  /// from it, and the rest is left alone.
  public static let keyValuePairs = 256
  /// Bytes of one key in key=value text. A longer word is not a key.
  public static let keyBytes = 64
  /// Rounds of percent-decoding of one URL. Encoding twice has uses, encoding more often only hides; what is left stays encoded.
  public static let percentDecodingRounds = 3

  /// sshd processes whose lines are being joined into attempts. Beyond it the longest-silent one is closed and counted.
  public static let openSessions = 4096
  /// Silence after which a session's lines are one attempt even if its outcome was never logged.
  /// sshd answers a password within 3 s (pam_faildelay), so 5 s cannot split an attempt in two.
  public static let sessionSilence = Nanoseconds.seconds(5)
  /// Silence after which a session is forgotten. LoginGraceTime is 120 s by default.
  public static let sessionLifetime = Nanoseconds.seconds(300)

  /// Groups (for instance source addresses) that one behavioural or correlation rule follows at a time.
  /// Beyond it the group that was silent longest is evicted and counted.
  public static let groupsPerRule = 16_384
  /// Entries that one group keeps in its window. Thresholds above it are refused when the rule is loaded.
  public static let entriesPerGroup = 1024
  /// Entries of all groups of all rules together, 24 bytes each: the memory bound of the windows. Groups, entries and the lines
  /// they refer to count against it together; beyond it the group that was silent longest is evicted and counted.
  public static let windowEntries = 512 * 1024
  /// Histories of all behavioural rules that compare with a baseline, in bytes (16 to 30 KiB for a long one). Beyond it the group that was
  /// silent longest starts anew, and is counted among the evictions.
  public static let baselineBytes = 8 * 1024 * 1024
  /// Windows that a lookback may hold: sums of squares stay exact. More are refused when the rule is loaded.
  public static let baselineSlots: Int64 = 65_536
  /// Samples without which there is no baseline: of fewer, a spread says nothing.
  public static let baselineSamples: Int64 = 3
  /// What a class of pairs must have seen before it tells novelty: days and hours with events, observations, and the share of what comes
  /// that it is estimated to know. A week has all days; less coverage means that most of what it calls new would be ordinary.
  public static let baselineDays: Int64 = 7
  public static let baselineHours: Int64 = 20
  public static let baselineObservations: Int64 = 40
  public static let baselineCoverageThousandths: Int64 = 950
  /// Days without a sight after which a pair is new again: the slow horizon.
  public static let baselineMemoryDays: Int64 = 90
  /// Days for which a pair counts as seen only recently.
  public static let baselineRecentDays: Int64 = 2
  /// Pairs and first halves that one class knows, at most 80 bytes each; more in classes that a network fills. Beyond it the one that was
  /// silent longest is forgotten, and counted. A host of normal size has some hundred of most and some thousand domains in ninety days; three
  /// quarters of a power of two fill the tables of their index.
  public static let baselinePairs = 3072
  public static let baselineWidePairs = 6144
  /// Pairs that enter a learned class in one day. The rest waits, at most so many for each class; beyond that they are counted.
  public static let baselineNewPerDay: Int64 = 64
  public static let baselinePending = 128
  /// Subjects that have a rate, 3.2 KiB each, and how many may come in one day. Beyond the first the longest-silent one is forgotten and
  /// counted, beyond the second new ones are, until the next day.
  public static let baselineProfiles = 512
  public static let baselineProfilesPerDay = 64
  /// Once so many came in a day, no service comes that only a line names: whoever may log can make names up, and the rest is for others.
  public static let baselineLineServicesPerDay = 32
  /// Machines whose destinations and sizes are known (3.9 KiB each), sources whose tried names are counted today (1.3 KiB), and servers whose
  /// answers are measured (1.4 KiB). Beyond each the longest-silent one is forgotten and counted.
  public static let baselineMachines = 128
  public static let baselineSources = 512
  public static let baselineServers = 64
  /// Values without which a 99th percentile says nothing; and what a server's answer must have to be measured: smaller ones are no theft.
  public static let baselineValues: Int64 = 500
  public static let baselineResponseBytes: Int64 = 16_384
  /// Bytes of a subject's name, and of what a pending pair is called. Longer ones are cut.
  public static let baselineLabelBytes = 128
  /// Samples of an hour of the week that make an expectation (weeks), and of an hour of the day while the week is too young.
  public static let baselineWeeks: Int64 = 3
  public static let baselineDailySamples: Int64 = 5
  /// CUSUM's reference value and decision interval, in thousandths of spreads.
  public static let baselineShiftReference: Int64 = 500
  public static let baselineShiftInterval: Int64 = 16_000
  /// The horizons that are compared.
  public static let baselineFastDays: Int64 = 14
  public static let baselineSlowDays: Int64 = 90
  /// Findings at the end of one hour. The rest is left out and counted: where everything changes at once, the first ones say so.
  public static let baselineFindings = 64
  /// Bytes of a baseline in a file: more than a full one has.
  public static let baselineFileBytes = 16 * 1024 * 1024
  /// How often the baseline is stored while events come.
  public static let baselineStoreInterval = Nanoseconds.minutes(5)
  /// Chains that one correlation rule follows at a time, and matches that all of them hold together (about 500 bytes each).
  /// Beyond either the chain that was silent longest is evicted and counted.
  public static let correlationChains = 4096
  public static let correlationEntries = 4096
  /// Matches of one join key that are followed by what they name upstream, and references that one match brings. Beyond the first the
  /// oldest match is evicted and reported; references beyond the second are not followed, the newest being last in the list.
  public static let correlationGraphMatches = 256
  public static let upstreamReferences = 64
  /// Values that one event may have for all join keys together (array paths), as combinations. Further ones are left out and counted.
  public static let joinCombinations = 64
  /// Consecutive sessions that one chain may span.
  public static let correlationSessions = 64
  /// Profiles that are active at a time (a bit each), profiles that are known, and how deep they include each other (the standard asks
  /// for at least 10). More are refused.
  public static let activeProfiles = 64
  public static let knownProfiles = 1024
  public static let profileDepth = 16
  /// Rules of recorded matches that are not loaded, whose correlations are remembered. Beyond it they are looked up each time.
  public static let recordedRules = 1024
  /// Confirmations that hit a limit and wait to be reported. Beyond it they are only counted.
  public static let limitRecords = 256
  /// Rules that gave up on an event, of which a running agent warns within a minute. Beyond it they are counted.
  public static let undecidedReportsPerMinute = 10
  /// Terms that "N of them" in a condition may be written out as. More is an error: the rule says so at its place.
  public static let expressionTerms = 1024
  /// Spans of one trace (the standard's recommendation), bytes of its JSON text, and values in it (24 bytes each, and their texts).
  /// Beyond any of them the trace is not evaluated, and each rule that wanted it reports so.
  public static let traceSpans = 10_000
  public static let traceBytes = 8 * 1024 * 1024
  public static let traceValues = 1_000_000
  /// Violations of one trace that a match names; the rest is counted. Bytes of a span's id that are kept.
  public static let traceFindings = 16
  public static let spanIDBytes = 64
  /// Patterns with placeholders that one rule compiles for one trace (about 50 microseconds each), and bytes of one of them. Beyond either
  /// the predicate is undecided, and the rule reports so.
  public static let traceResolvedPatterns = 512
  public static let traceResolvedBytes = 8 * 1024
  /// The patterns of a trace rule may cost, on all texts of an event's traces together, what a confirmation in the guarded form may
  /// (`regexGuardedWork`); and each text at least so much, whatever those before it have cost. Beyond it the rule reports that it is undecided.
  public static let traceTextWork = 4096
  /// Rules that could not be evaluated on an event, and wait to be reported. Beyond it they are only counted.
  public static let gracefulErrors = 256
  /// Nesting of and/or/not in one rule. Deeper is an error.
  public static let expressionDepth = 64
  /// Lines that one group keeps as evidence: its first and its last ones. They are most of what a group costs, and five attempts
  /// of three lines fit.
  public static let evidencePerGroup = 16
  /// Evidence references in one decision. The first and the last ones are kept; the rest are counted.
  public static let evidencePerDecision = 16
  /// Names of conditions in one match or decision. Rules of the corpus have fewer than fifty; beyond it the rest is left out.
  public static let selectorsPerMatch = 64
  /// Subjects whose signals are being added up. Beyond it the longest-silent one is forgotten and counted.
  public static let subjects = 65_536
  /// Signals of one subject. Beyond it the one that was seen longest ago is dropped and counted.
  public static let signalsPerSubject = 32
  /// Labels and labelled decisions of one `panguard calibrate`. More labels are refused, more decisions are left out and counted.
  public static let calibrationLabels = 1_000_000
  /// Marks of decisions that the store keeps; beyond it the oldest go. Bytes of the reason of one; a longer one is refused.
  public static let decisionMarks = 100_000
  public static let markReasonBytes = 200
  /// Entries of `family_caps`, `rules` and `exclusions` in a confidence file, each. More are refused.
  public static let confidenceEntries = 1024
  /// How long a signal speaks for or against its subject after it was last seen.
  public static let signalMemory = Nanoseconds.hours(24)
  /// Bytes of a user, session or host name in a decision; longer ones are cut and marked with an ellipsis.
  public static let subjectBytes = 256

  /// An event may lie this far behind its source's newest one and still count as now. Farther behind is a clock that jumped back.
  public static let lateness = Nanoseconds.minutes(10)
  /// Events in a row that must agree before a clock that jumped back is believed.
  public static let clockJumpConfirmations = 16
  /// A jump ahead of up to this is believed when one event agrees with it, a longer one when so many do.
  public static let easilyBelievedJump = Nanoseconds.days(1)
  public static let longJumpAgreements = 2
  /// A stamp this far ahead of its source's newest one feeds no window until enough later events agree with it.
  public static let forwardJump = Nanoseconds.days(400)
  /// The shortest silence of a busy source that is reported as a gap, and the events that make a source busy.
  public static let logGap = Nanoseconds.hours(1)
  public static let logGapMinimumEvents: UInt64 = 1000

  /// Open incidents. Beyond it the longest-silent one is closed and counted.
  public static let openIncidents = 65_536
  /// Of them, those that a start takes up from the store, the last active first: it must read its first line within 300 ms. A repeat
  /// that belongs to an older one opens a new incident.
  public static let resumedIncidents = 8192

  /// PCRE2 match limit (backtracking steps) for one place where a match may begin, and heap, for each confirmation.
  public static let regexMatchSteps: UInt32 = 100_000
  public static let regexHeapKiB: UInt32 = 1024
  /// What a confirmation in the fast form may cost at most: places where a match may begin, times steps at each, times the bytes that a
  /// step may walk over (about a nanosecond each). So much, and so much for each byte of the text. Each window of a text may take
  /// `regexWindowSteps` of it; where it does not hold `regexLeastSteps`, or was not enough, the guarded form answers.
  public static let regexFastWork = 4 * 1024 * 1024
  public static let regexFastWorkPerByte = 8
  public static let regexWindowSteps = 256
  public static let regexLeastSteps = 8
  /// What a confirmation in the guarded form may cost, in the same unit. Hitting it leaves the pattern undecided: an event with the
  /// rule's id.
  public static let regexGuardedWork = 2 * 1024 * 1024
  public static let regexGuardedWorkPerByte = 64
  /// Of these, so many may be used up by one event. After that confirmations may cost a sixteenth of the above: what a hostile text costs
  /// is the sum of a few long walks, not of one for each pattern.
  public static let regexCostlyConfirmations = 8
  /// Places of literals that are kept for one text (8 bytes each). Beyond it a confirmation walks from the first place to the last.
  public static let literalPlaces = 1024 * 1024
  /// Bytes of text that are brought into normal form together. Longer runs of marks are cut.
  public static let normalisedRunBytes = 4096

  /// Bytes of all texts of one agent event (a prompt, a document, a tool's answer). Beyond it the value is cut and the event is marked
  /// truncated. Texts of this size are for tests and offline work; memory for them is taken when needed and given back.
  public static let agentEventBytes = 512 * 1024 * 1024
  /// Bytes of one line of agent events, escapes included. The reader reserves twice as many, and touches what the longest line needs.
  public static let agentLineBytes = 1024 * 1024 * 1024
  /// Fields outside the field table in one agent event. More are dropped, and the event is marked truncated.
  public static let agentExtraFields = 1024
  /// Bytes of a field's name that a rule may ask for. Longer names of objects inside objects are not made: nobody could ask for them. Members
  /// of an object whose own name is longer are dropped, and the event is marked truncated.
  public static let fieldNameBytes = 128

  /// Bytes of one pattern as a rule writes it; the corpus stays below 8 KiB. A longer one is refused.
  public static let patternBytes = 64 * 1024
  /// Groups within groups; each reader and writer of a pattern recurses that deep. Deeper is refused. PCRE2's own limit is 250.
  public static let patternNesting = 60
  /// The highest count of a quantifier, PCRE2's. A higher one is refused.
  public static let patternRepeats = 65_535
  /// Letters of a group's or a property's name. A longer one is refused.
  public static let patternNameLength = 64
  /// Bytes of a pattern in PCRE2's spelling; rewritten look-behinds grow. A longer one is refused.
  public static let translationBytes = 256 * 1024
  /// Steps in which a look-behind of variable length may be taken apart. One that needs more is refused.
  public static let lookBehindSteps = 2048

  /// A rule file, a configuration file. Larger ones are refused.
  public static let documentBytes = 1024 * 1024
  /// YAML nesting and aliases. Beyond it the document is refused (alias bombs).
  public static let documentDepth = 64
  public static let documentNodes = 100_000
  /// Errors, and other problems, reported for one file. Beyond it one last diagnostic says how many more there are: a file that is wrong
  /// everywhere must not cost more to report than to read.
  public static let diagnosticsPerFile = 100
  /// Rule files found below the given directories, and how deep the directories nest. Beyond it the rest is refused with an error.
  public static let ruleFiles = 20_000
  public static let ruleDirectoryDepth = 16
  /// A bundle of rules (archive, wheel, JSON) as it is read. Larger ones are refused.
  public static let ruleBundleBytes = 64 * 1024 * 1024
  /// Entries of an archive, and bytes that all of them have unpacked, read or skipped. Beyond either the archive is refused: the
  /// whole public corpus has 2,000 entries and 20 MiB.
  public static let archiveEntries = 65_536
  public static let archiveTotalBytes: Int64 = 256 * 1024 * 1024
  /// Unpacked bytes for each packed byte, beyond the first MiB. Text packs 20 to 1 at best; beyond this it is a bomb, and refused.
  public static let archiveRatio: Int64 = 200
  /// Field tests of one rule that is converted from another format. More are refused: they would be written out.
  public static let convertedTests = 4096
  /// Rule sets that the cache keeps, of each of its two kinds of files. Beyond it the oldest are deleted.
  public static let cachedRuleSets = 4
  /// Conditions of one rule, and texts of one condition, that lint compares with each other. Beyond it the rest is not compared.
  public static let lintPairs = 512
  /// Bytes of a text that lint looks into for another one. Longer texts are not compared.
  public static let lintNeedleBytes = 1024
  /// Bytes of a file of harmless documents. A larger one is refused.
  public static let benignBytes = 64 * 1024 * 1024
  /// Texts that `rules cost` measures on. Beyond it the rest is left out.
  public static let costTexts = 20_000
  /// Attack texts that lint tries on one pattern. Further places are not tried.
  public static let lintAttacks = 8
  /// Bytes of a pattern that lint takes apart. Longer ones are only compared as texts.
  public static let lintPatternBytes = 16 * 1024
  /// True positives of one rule that lint disguises. The rest is taken as it is.
  public static let lintDisguisedCases = 8
  /// Steps of the interpreter that lint grants an attack text; what needs more is called catastrophic. Twice the matcher's own limit.
  public static let lintAttackSteps: UInt32 = 2 * regexMatchSteps
  /// Times that a rule's embedded test may repeat its input. More are refused when the rule is loaded.
  public static let testRepetitions = 100_000

  /// Bytes of the decision store up to which it is read through after an unclean end (tens of milliseconds). A larger one is
  /// only checked page by page as it is used, and its status says so: the start must not wait for it.
  public static let storeCheckedBytes: Int64 = 64 * 1024 * 1024
  /// Damaged stores that are kept beside the new one. Beyond it opening fails: a disk that does this needs a person.
  public static let damagedStores = 8
  /// How often the writer's lock is tried, 20 ms apart, before another writer is believed to hold it.
  public static let lockTries = 25
  /// Bytes of write-ahead log that are kept on disk after a checkpoint; a long read may make it larger for its time.
  public static let storeJournalBytes = 16 * 1024 * 1024
  /// Rows that one retention step deletes (one transaction). More are left to the next step, and it says so.
  public static let retentionStepRows = 10_000
  /// Rows of one answer of the store. More are left out, and the answer says so.
  public static let queryRows = 100_000

  /// Bytes of one message between the supervisor and a child. Longer ones are none: what is said is a word, a name and a number.
  public static let supervisionMessageBytes = 128
  /// Messages of the supervisor that are taken in one turn. More wait for the next; the channel is bounded by the kernel.
  public static let supervisionMessages = 64
  /// Bytes of the file of audit entries. Beyond it the file becomes audit.jsonl.1 (the one before is removed) and a new one begins.
  public static let auditFileBytes: Int64 = 4 * 1024 * 1024

  /// Messages that wait for a busy syslog daemon (at most 8 KiB each). Beyond it the newest is dropped and counted.
  public static let syslogBacklog = 256

  /// `rules explain`: beginnings of one pattern that are tried (the longest first come from the end, so a longer pattern is cut in its
  /// first half), patterns of one condition, events that are shown in full, and events that are read. Beyond it the rest is left out, and
  /// the page says so.
  public static let nearMissPrefixes = 512
  public static let nearMissPatterns = 64
  public static let explainedEvents = 1000
  public static let explainedPages = 8

  /// Playbooks that are loaded, steps of one, rules or techniques that one trigger names, and embedded tests of one. More are refused.
  public static let playbooks = 256
  public static let playbookSteps = 16
  public static let playbookTriggerNames = 256
  public static let playbookTests = 64
  /// Seconds that a playbook may block for. Outside it is refused when the playbook is read; the enforcer has a ceiling of its own.
  public static let playbookBlockSeconds: ClosedRange<Int64> = 10...7 * 86_400
  /// Lengths of one escalation. More are refused.
  public static let escalationLevels = 16
  /// Arguments of an executable that a playbook starts, and bytes of each. More are refused.
  public static let notificationArguments = 32
  public static let notificationArgumentBytes = 1024
  /// A capture of packets: the most seconds and bytes that a playbook may ask for. More is refused.
  public static let captureSeconds: Int64 = 600
  public static let captureBytes: Int64 = 256 * 1024 * 1024
  /// Packets that are cut out of a recording: networks and stamps of frames that one request may name, packets and bytes of the file that is
  /// made, and flows that the stamps may lead to. A request with more is none; packets beyond it are left out and counted.
  public static let cutNetworks = 16
  public static let cutMoments = 16
  public static let cutPackets: ClosedRange<UInt64> = 1...10_000_000
  public static let cutBytes: ClosedRange<UInt64> = 4096...16 << 30
  public static let cutFlows = 64
  /// What a playbook's cut may hold besides its own bound on bytes.
  public static let playbookCutPackets: UInt64 = 1_000_000
  /// Cuts that wait in the responder for their turn or for their time. More are refused.
  public static let waitingCuts = 64
  /// Cuts that are asked for in one minute: apart from the other actions, which they must not keep out. More are refused.
  public static let cutsPerMinute = 30
  /// How long one cut may take. Beyond it it is ended, and nothing is kept.
  public static let cutTime = Nanoseconds.seconds(300)
  /// Files of the capture's recording (`--cut` opens all of them at a time), and bytes of each. Anything else is an error in the configuration.
  public static let recordingFiles: ClosedRange<Int64> = 2...32
  public static let recordingFileBytes: ClosedRange<Int64> = 1024 * 1024...16 * 1024 * 1024 * 1024
  /// Bytes that wait for being written to the recording: at most this and one frame.
  public static let recordingBufferBytes = 256 * 1024
  /// How far frames in the recording's files may be out of the order of their stamps: several interfaces, each with frames that wait.
  public static let recordingDisorder = Nanoseconds.seconds(60)
  /// Subjects whose blocks the planner remembers, and steps whose cool-down it remembers, in each mode (about 64 bytes each). Beyond
  /// either the one that was touched longest ago is forgotten and counted.
  public static let repeatOffenders = 65_536
  public static let coolDowns = 65_536
  /// Questions that wait for the operator. Beyond it a new one is refused and counted: a flood must not push out what he is looking at.
  public static let pendingApprovals = 1024
  /// Actions given out whose outcome nobody has told yet. Beyond it the oldest is taken as done and counted.
  public static let unansweredActions = 8192
  /// How long the operator's "no" keeps the same step from being asked again for the same subject.
  public static let denialMemory = Nanoseconds.hours(1)
  /// Bytes of a planner's state as it is read back. More is refused: full tables need 8 MiB.
  public static let plannerStateBytes = 32 * 1024 * 1024

  /// Blocks that the enforcer holds at a time, of all kinds together. Further ones are refused and counted. The kernel's sets have room for
  /// twice as many, because an element that has expired keeps its place until it is collected.
  public static let enforcedBlocks = 65_536
  /// Bytes of one frame between engine and enforcer, header included: a full table in one frame (24 bytes an entry). A longer one closes
  /// the connection.
  public static let enforcerFrameBytes = 2 * 1024 * 1024
  /// Bytes of a text in a frame. Longer ones are cut.
  public static let frameTextBytes = 512
  /// Connections that a program serves at a time: the engine, a command of the operator, and room for a reconnect. Further ones are closed
  /// and counted; at the enforcer, where none of the others has been silent for `framePeerPatience`: that one makes room.
  public static let frameConnections = 8
  /// Of the enforcer's, those for root alone: a hostile engine must not shut the operator out.
  public static let enforcerConnectionsOfRoot = 2
  /// How long a peer may take to send the rest of a frame, or to take its answer. Beyond it the connection is closed and counted.
  public static let framePeerPatience = Nanoseconds.seconds(5)
  /// How long one call to another program may hold up the engine. Beyond it the connection is given up and made anew.
  public static let frameCall = Nanoseconds.seconds(3)
  /// Notices that wait for the engine's next heartbeat. Beyond it the oldest is dropped and counted; each was also an audit line.
  public static let enforcerNotices = 256
  /// Audit lines of a program in one minute. Beyond it they are counted, and the count is a line of its own.
  public static let auditLinesPerMinute = 600
  /// Addresses of one kind (own, gateways, resolvers, peers of sessions) that are protected, besides the allowlist. Beyond it nothing is
  /// blocked at all until there are fewer: whoever cannot be protected must not be at risk.
  public static let protectedAddresses = 16_384
  /// Networks of the operator's allowlist. More are an error in the configuration.
  public static let allowlistEntries = 4096
  /// Ports that count as administration, configured and learned. Further ones are an error, or left out and reported.
  public static let administrationPorts = 32
  /// Files of sshd (configuration, what it includes, units, options) that are read. With more of them its ports count as unclear.
  public static let sshdFiles = 64
  /// Unmarked connections of one address (IPv6: /64) to administration ports whose age is known. Further ones do not become sessions by age;
  /// those that are authenticated need no age.
  public static let connectionsPerPeer = 64
  /// Bytes of one message that the kernel sends over netlink. It never sends longer ones in a dump.
  public static let netlinkMessageBytes = 256 * 1024
  /// Bytes of a resolver or sshd configuration file that are read. The rest is left alone.
  public static let watchedFileBytes = 64 * 1024
  /// How often the enforcer looks whether somebody else changed its table, and how much a kernel timeout may differ from ours before it
  /// is set anew.
  public static let tableCheckInterval = Nanoseconds.seconds(1)
  public static let timeoutDrift = Nanoseconds.seconds(5)

  /// Names of fields that one connection of the capture process may announce, counters of one report, bytes of one sentence, and bytes of one
  /// event. A longer event is dropped and counted; whoever sends more of the others is cut off.
  public static let captureFieldNames = 1024
  public static let captureCounters = 256
  public static let captureNoticeBytes = 1024
  public static let captureMessageBytes = 160 * 1024
  /// How often the capture process reports its counters, and how long it may be silent before the engine says so.
  public static let captureHeartbeat = Nanoseconds.seconds(1)
  public static let captureSilence = Nanoseconds.seconds(10)
  /// Sentences of the capture process that are reported in one minute. Beyond it they are counted.
  public static let captureNoticesPerMinute = 30
  /// Bytes of events that wait in the capture process for a slow engine. Beyond it the newest event is dropped and counted.
  public static let captureQueueBytes = 8 * 1024 * 1024
  /// Interfaces that one capture process has open, each with a ring and tables of its own. More are an error in the configuration.
  public static let openInterfaces = 8
  /// Bytes of the ring of each interface. A reader that stalls loses what does not fit: the kernel gives up a block of 256 KiB at least each
  /// 100 ms that packets come, so that 64 MiB last 25 s at a low rate (2 MiB: less than one second).
  public static let captureRingBytes = 64 * 1024 * 1024
  /// Names of interfaces that are known by number. Beyond it the number stands for the name.
  public static let knownInterfaces = 4096
  /// Frames that are read from one interface before the next, and what else waits, has its turn.
  public static let captureSliceFrames = 2048
  /// Packets of which one per hundred was lost within `captureLossInterval` are reported as an event, once in that time.
  public static let captureLossPercent: UInt64 = 1
  public static let captureLossInterval = Nanoseconds.seconds(60)
  /// Files of a ring on disk, and bytes of each.
  public static let captureFiles = 64
  public static let captureFileBytes: ClosedRange<Int64> = 1024 * 1024...1024 * 1024 * 1024 * 1024
  /// Bytes of one filter text. A longer one is an error.
  public static let captureFilterBytes = 4096

  /// Actions whose outcome the store keeps, and lines that were kept as evidence. Beyond either the oldest go.
  public static let responseRows = 200_000
  /// Reasons for which a reload was refused, in the answer to who asked for it; the journal has all.
  public static let reloadReasons = 100
  /// Bytes of one request on the control socket. A longer one is refused and counted.
  public static let controlRequestBytes = 512
  /// Audit entries and messages about responses in one minute, each. Beyond it they are counted.
  public static let responseReportsPerMinute = 300
  /// Seconds that an operator may block for by hand, and that an arming may wait for its confirmation. Outside it is refused.
  public static let operatorBlockSeconds: ClosedRange<Int64> = 10...7 * 86_400
  public static let confirmationSeconds: ClosedRange<Int64> = 10...86_400

  /// How long an action on the host waits for a responder that does not answer. Beyond it it fails: what it was about has moved on.
  public static let hostActionPatience = Nanoseconds.seconds(60)
  /// Bytes of one frame between engine and responder, header included: a decision as JSON on an executable's standard input is the largest
  /// part. A longer one closes the connection.
  public static let hostActionFrameBytes = 1024 * 1024
  /// Bytes of an executable's standard input. A longer one is no request.
  public static let hostActionInputBytes = 256 * 1024
  /// Bytes of a path that may be quarantined (PATH_MAX without its NUL).
  public static let hostPathBytes = 4095
  /// Bytes of the sentence in an outcome. A longer one is cut.
  public static let hostActionDetailBytes = 1024
  /// Keys of one question about outcomes, and actions of one list. More keys are no request; of the list the newest are told. Both stay
  /// inside a frame.
  public static let askedHostActions = 256
  public static let listedHostActions = 256
  /// Actions that the responder remembers by their keys, so that none is done twice. Beyond it the oldest that cannot be taken back is
  /// forgotten and counted; where all can be taken back, nothing more is done until one is.
  public static let rememberedHostActions = 4096
  /// Executables that run at a time, and that wait for their turn. Further ones are refused.
  public static let runningExecutables = 4
  public static let waitingExecutables = 64
  /// Executables that are started in one minute. More are refused.
  public static let executablesPerMinute = 120
  /// Bytes of an executable's output that are kept. The rest is read, dropped and counted.
  public static let executableOutputBytes = 512
  /// Bytes that an executable may write to a file, bytes of memory, processes and descriptors that it may have. Beyond it the kernel refuses.
  public static let executableFileBytes: UInt64 = 64 * 1024 * 1024
  public static let executableMemoryBytes: UInt64 = 1024 * 1024 * 1024
  public static let executableProcesses: UInt64 = 64
  public static let executableOpenFiles: UInt64 = 64
  /// Bytes of a file that is quarantined: it is read whole while requests wait. A larger one is refused.
  public static let quarantinedFileBytes: Int64 = 256 * 1024 * 1024
  /// Bytes of all extended attributes of a quarantined file that are kept. A file with more is refused.
  public static let quarantinedAttributeBytes = 64 * 1024
  /// Bytes of passwd, shadow and group as they are read. Larger ones are refused, and with them what rests on them.
  public static let accountFileBytes = 16 * 1024 * 1024
  /// Entries of each list in the responder's configuration. More are an error.
  public static let sparedEntries = 256

  /// Bytes of one webhook's body, of one text in it (a user's name, a summary), and of a text in an answer of the uplink. A longer body is not
  /// sent and counted; longer texts are cut: whoever chooses a long name must not keep himself from being told of.
  public static let webhookBodyBytes = 64 * 1024
  public static let webhookTextBytes = 1024
  public static let uplinkTextBytes = 200
  /// Webhooks of one configuration. More are an error.
  public static let webhooks = 16
  /// Deliveries that wait for one webhook, and bytes of all that wait. Beyond either a delivery is refused and counted.
  public static let webhookQueue = 512
  public static let uplinkQueueBytes = 8 * 1024 * 1024
  /// How long the uplink tries to deliver, and how long it waits after the first failure and at most: twice as long each time. What is
  /// not delivered by then is given up and counted.
  public static let webhookLifetime = Nanoseconds.hours(1)
  public static let webhookPauses = Nanoseconds.seconds(1)...Nanoseconds.minutes(5)
  /// Attempts of one delivery that end in an answer that may be better next time (HTTP 429, 5xx), or in none; and in a failed handshake.
  /// Beyond it the delivery is given up: it must not hold up those behind it. Connections that fail do not count.
  public static let webhookAttempts = 6
  public static let webhookHandshakes = 4
  /// Bytes of a webhook's answer, headers included. They are thrown away; beyond it the connection is closed.
  public static let webhookAnswerBytes: UInt64 = 64 * 1024
  /// Outcomes that wait for the engine, and keys of finished deliveries that are remembered. Beyond it the oldest is forgotten, and counted
  /// where nobody collected it.
  public static let uplinkOutcomes = 4096
  /// Outcomes of one answer. More are in the next.
  public static let collectedOutcomes = 256
  /// Webhook deliveries that wait in the engine for the uplink, and how long. Beyond either they fail and are counted.
  public static let waitingWebhooks = 1024
  public static let waitingWebhookLifetime = Nanoseconds.hours(1)

  /// Bytes of one captured frame, libpcap's own limit. Offloads make frames of 65,226 bytes; a capture file with a longer one is not read on.
  public static let frameBytes = 256 * 1024
  /// Bytes of one pcapng block that is read (others are passed over), of the reader's buffer, and of one read. A larger block ends the file.
  public static let captureBlockBytes = 512 * 1024
  public static let captureBufferBytes = 1024 * 1024
  public static let captureReadBytes = 256 * 1024
  /// Interfaces of one pcapng section. More end the file.
  public static let captureInterfaces = 4096
  /// Tags and labels (VLAN, MPLS) before a packet, extension headers of one IPv6 packet, and tunnels within tunnels. A packet with more is an error.
  public static let linkTags = 8
  public static let extensionHeaders = 16
  public static let tunnels = 3
  /// Datagrams in pieces that are being put together, their bytes in total, pieces of one, and how long one may take (RFC 791 wants 15 s at
  /// least, Linux 30). Beyond the first two the oldest is given up, beyond the others this one; each is counted.
  public static let fragmentedDatagrams = 256
  public static let fragmentBytes = 4 * 1024 * 1024
  public static let fragmentPieces = 128
  public static let fragmentLifetime = Nanoseconds.seconds(30)
  /// Flows that are followed (192 bytes each), and TCP connections that nobody has confirmed yet (112 bytes each). Beyond either the one that
  /// was silent longest is ended and counted: of the first kind a closed one, else one that only one side spoke in, else one of datagrams,
  /// and only then an established connection.
  public static let flows = 65_536
  public static let halfOpenFlows = 65_536
  /// How long a connection may wait to be confirmed (a SYN and its four first repetitions; scans are told when it is over), and silence after
  /// which a flow is over: one side only, datagrams both ways (RFC 4787 wants 2 minutes at least), an established connection (conntrack keeps
  /// days; an hour is what memory allows), and one that was closed (late packets).
  public static let halfOpenLifetime = Nanoseconds.seconds(20)
  public static let unansweredSilence = Nanoseconds.seconds(60)
  public static let datagramSilence = Nanoseconds.seconds(180)
  public static let connectionSilence = Nanoseconds.hours(1)
  public static let closedSilence = Nanoseconds.seconds(15)
  /// How often a flow that goes on is reported with its counters so far.
  public static let flowReportInterval = Nanoseconds.minutes(30)
  /// Networks and domains that the owner names as his own. More are an error in the configuration.
  public static let ownNetworks = 256
  public static let ownDomains = 256
  /// Pairs of client and domain whose names are counted (250 bytes each), clients whose failing names and resolvers are (250 bytes each), and
  /// names that lately had a public address (40 bytes each). Beyond each the one that was silent longest is forgotten, and counted.
  public static let dnsTunnelDomains = 2048
  public static let dnsClients = 1024
  public static let dnsPublicNames = 4096
  /// Conversations whose server's name waits for the end of their flow (150 bytes each). Beyond it the oldest is forgotten, and counted.
  public static let pendingServerNames = 4096
  /// Peers outside: candidates for a series of contacts (100 bytes each), series (1 KiB each), uploads (200 bytes each), and how many clients
  /// talk to each (60 bytes). Beyond each the one that was silent longest is forgotten, and counted.
  public static let beaconCandidates = 8192
  public static let beaconPeers = 2048
  public static let uploadPeers = 4096
  public static let prevalencePeers = 4096
  /// Findings that are not told again for a while, of one kind. Beyond it the oldest may be told again.
  public static let detectionCoolDowns = 1024
  /// Bytes of a name that is quoted in a finding. A longer one is cut.
  public static let detectionTextBytes = 128
  /// Sources that asked for one place (about 150 bytes each), and for several (about 1.4 KiB each), of which the newest contacts are kept, and
  /// hosts that many ask in vain (about 500 bytes each). Beyond each the one that was silent longest is forgotten, and counted.
  public static let scanNewcomers = 16_384
  public static let scanSources = 4096
  public static let scanContacts = 32
  public static let scanTargets = 1024
  /// Silence after which a source's failures are forgotten: addresses change hands.
  public static let scanMemory = Nanoseconds.days(7)
  /// How long many sources may take, and how soon the same scan is told again though it has not grown.
  public static let distributedScanWindow = Nanoseconds.minutes(10)
  public static let scanReminder = Nanoseconds.hours(24)
  /// Services inside that were reached (about 130 bytes each), sources that reached new ones, and how long they may take. Beyond either number the
  /// one that was silent longest is forgotten, and counted: it is new again.
  public static let knownReaches = 16_384
  public static let reachSources = 1024
  public static let reachWindow = Nanoseconds.hours(1)
  /// Hosts of the owner's and the ports on which they answer (about 110 bytes each). Beyond either the one that was silent longest is forgotten,
  /// and counted: it is learned again.
  public static let listenerHosts = 4096
  public static let listeners = 16_384
  /// Hosts under pressure, in the detector and in each capture; addresses that changed hands. Beyond either the one that was silent longest is
  /// forgotten, and counted.
  public static let floodTargets = 256
  public static let pressureTargets = 64
  public static let arpClaims = 1024
  /// How often pressure is reported, and from how much on: connections neither confirmed nor refused, datagrams that nobody answered.
  public static let pressureInterval = Nanoseconds.seconds(5)
  public static let pressureConnections: UInt64 = 32
  public static let pressureDatagrams: UInt64 = 500
  /// Addresses of the link whose holder is known, and questions whose answer is waited for. Beyond either the oldest goes, and is counted.
  public static let arpBindings = 2048
  public static let arpRequests = 1024
  /// Flows whose content is looked at, at a time. Beyond it the one that was silent longest is no longer looked at, and is counted.
  public static let inspectedFlows = 8192
  /// TCP segments that came early: bytes of one block, blocks of one direction, and of all. Beyond either what is missing counts as lost.
  public static let segmentBlockBytes = 2048
  public static let segmentBlocksPerDirection = 64
  public static let segmentBlocks = 4096

  /// Bytes that the buffers of all flows of one decoder hold together, for messages that are not complete. Beyond it the direction that wants
  /// more is given up and counted.
  public static let applicationHeldBytes = 16 * 1024 * 1024
  /// Bytes of one message that is put together: a hello with post-quantum keys has 2 KiB, a chain of certificates 6 KiB. A longer one is given
  /// up and counted.
  public static let applicationMessageBytes = 64 * 1024
  /// First bytes of a direction that may be undecided about their protocol. Beyond it they are none that is known.
  public static let recognitionBytes = 2048
  /// Segments, or datagrams, of one direction that begin nothing known, before it is given up and counted; a flow whose start was not seen has
  /// more of them.
  public static let unknownSegments: UInt8 = 3
  public static let unknownMidstreamSegments: UInt8 = 16
  public static let unknownDatagrams: UInt8 = 3
  /// Questions of one DNS message (mDNS asks for a dozen at once). A message with more is none.
  public static let dnsQuestions = 64
  /// Pointers inside one name. A name with more is none: it has at most 127 labels.
  public static let dnsNamePointers = 127
  /// Labels and bytes of a public suffix: the list's longest have 5 and 50, and a wildcard may stand for a label of 63. A longer tail of a
  /// name is none.
  public static let publicSuffixLabels = 6
  public static let publicSuffixBytes = 128
  /// Answers of one message that are written out, and bytes of them. Beyond either the rest is only counted.
  public static let dnsAnswers = 64
  public static let dnsAnswerBytes = 16 * 1024
  /// Bytes of a record's data that are shown as hexadecimal. The rest is left out.
  public static let dnsOpaqueBytes = 64
  /// Bytes of a name in a certificate. Longer ones are cut.
  public static let certificateNameBytes = 1024
  /// Initial packets of one QUIC flow that are opened, and pieces of its hello that wait for each other. Beyond either it is given up.
  public static let quicInitials = 32
  public static let quicPieces = 64
  /// Bytes of an HTTP head (servers take 8 to 32 KiB). A longer one ends the parsing of its direction, and is counted.
  public static let httpHeadBytes = 64 * 1024
  /// Bytes of a body that are kept, and of one that may be JSON-RPC. The rest is passed over.
  public static let httpBodyBytes = 4096
  public static let httpStructuredBodyBytes = 48 * 1024
  /// Requests on one connection that wait for their answers. Beyond it answers are read as those of a plain request.
  public static let httpPipelined = 64
  /// Calls of one connection that wait for their answers, members of one batch, and tools of one list. Beyond the first the oldest is
  /// forgotten, beyond the others the rest is left out.
  public static let rpcCalls = 32
  public static let rpcBatch = 64
  public static let rpcTools = 256
  /// Bytes of a text in a call or an answer. Longer ones are cut.
  public static let rpcTextBytes = 32 * 1024
  /// Bytes of a command line (RFC 5321: 512, with extensions more). A longer one is passed over.
  public static let commandLineBytes = 8 * 1024
  /// Bytes of a user's name that are kept. Longer ones are cut.
  public static let credentialUserBytes = 256
  /// Bytes of a line of a telnet session, and of one direction before the login. Beyond them the rest is left alone.
  public static let telnetLineBytes = 256
  public static let telnetBytes = 16 * 1024
  /// Commands of one Redis connection before its AUTH. Beyond it none is expected.
  public static let redisCommands = 64

  /// The journal of the pipeline's input: bytes of a segment's header, and of one block unpacked. Whatever is longer is damaged.
  public static let inputJournalHeaderBytes = 256 * 1024
  public static let inputJournalBlockBytes = 32 * 1024 * 1024
  /// Bytes that are packed together at most, a longest record apart; they are packed earlier with each commit.
  public static let inputJournalFlushBytes = 256 * 1024
  /// Sources that one segment may name: files, interfaces and the system's journal.
  public static let inputJournalLanes = 4096
  /// Segments of one journal. Beyond it the oldest goes, as beyond `record.max_bytes` and `record.keep`; counted.
  public static let inputJournalSegments = 4096
  /// How long a recording that ended because the disk was full waits, at least, before it begins again: each beginning is a cold start.
  public static let inputJournalRetry = Nanoseconds.minutes(1)
  /// Decisions that a verification shows. The rest is counted: what differs first is what led to the others.
  public static let verificationFindings = 20
  /// Sources with a log-in that succeeded that a trial of rules remembers, the latest. Beyond it the one that was silent longest is forgotten.
  public static let legitimateSources = 65_536
}
