------------------------------- MODULE Gossip -------------------------------
(***************************************************************************)
(* How nodes of convergence_jax.partition take writes, tell each other     *)
(* rows, crash and start again, and what each may then say about the truth.*)
(*                                                                         *)
(* TLA+ in five lines.  A state gives each of the VARIABLES a value.  An   *)
(* action is a formula about two states: x is the value before the step    *)
(* and x' the one after.  [f EXCEPT ![a] = v] is the function f with f[a]  *)
(* replaced by v, where @ is the old f[a]; [a |-> 1, b |-> 2] is a record. *)
(* Next is the disjunction of all actions: in every state any one that is  *)
(* enabled may happen.  TLC visits every state that can be reached within  *)
(* the bounds of a .cfg file and checks that the invariants hold in each.  *)
(*                                                                         *)
(* What stands for what.                                                   *)
(*   Begin, Commit, Publish    Participant.begin, Journal.commit,          *)
(*                             Participant.finish: one step of a node      *)
(*   Crash, Restart            the process is gone; a new Participant on   *)
(*                             the same journal, with the next incarnation *)
(*   Ask                       gossip.digest, and gossip.answer that reads *)
(*                             it: the asker's token arrives               *)
(*   Carry                     one row of a News message: Replica.join     *)
(*   Newer, Join               Replica._join and _put                      *)
(*   EchoAge, Missing          Replica.age and partition.unseen.unseen     *)
(*   Room, bucket              writes.token_bucket.TokenBucket             *)
(*                                                                         *)
(* The network loses (a step is not taken), repeats (a step is taken       *)
(* again) and reorders (relays hold older rows).  A cut allows no step     *)
(* that its absence does not, so it matters to liveness alone.  With Late, *)
(* one message is under way for any time, over cuts and crashes, and       *)
(* arrives any number of times.                                            *)
(*                                                                         *)
(* What is left out: retractions (a second bucket, the same argument),     *)
(* drift of clocks (age_bound multiplies by it), rosters, backups, final   *)
(* rows, changes since a version (a row here travels whole) and nodes that *)
(* contradict themselves: those are in Equivocation.tla.                   *)
(***************************************************************************)
EXTENDS Integers, Sequences, FiniteSets

CONSTANTS
  Nodes,        \* names
  Writers,      \* those of them that clients write to
  WritesEach,   \* writes that the client of each writer has, of one event each
  Burst, Rate,  \* the cap: events, and events for each step of the clock
  Fine,         \* steps of the clock in one unit of a token: clocks are finer than tokens
  MaxTime, MaxVersion, MaxCrashes, MaxCuts,  \* bounds of the search, none of the protocol
  Tokens,       \* whether nodes see tokens; without, all ages are unknown and the search is smaller
  Late          \* whether a message may be late

VARIABLES
  now,          \* true time, in steps of the clock; nobody reads it but through Clock
  disk,         \* what each node's journal holds: all that a crash leaves
  up,           \* whether each node runs
  started,      \* when this incarnation of it started
  bucket,       \* its token bucket: it holds Rate * now - bucket, or Burst if that is less
  seen,         \* the newest token of each other node that it has seen
  held,         \* its table: a set of rows
  step,         \* its step on the way to the disk, or NoStep
  acknowledged, \* writes whose client was told that they are durable
  read,         \* for the invariants only: what the clock showed when each write was released
  crashes, cuts, isolated, late

vars == <<now, disk, up, started, bucket, seen, held, step, acknowledged, read, crashes, cuts, isolated,
          late>>

Numbers == 1..WritesEach
Never == -1       \* no reading
Unknown == -1     \* an age that nothing bounds
NoToken == [counter |-> 0, time |-> 0]
NoStep == [durable |-> FALSE, asked |-> {}, journal |-> <<>>, reading |-> Never]
NoMessage == [to |-> "", from |-> "", token |-> NoToken, rows |-> {}]

Max(a, b) == IF a > b THEN a ELSE b
Min(a, b) == IF a < b THEN a ELSE b
RECURSIVE SumOver(_, _)
SumOver(f, set) ==
  IF set = {} THEN 0 ELSE LET x == CHOOSE x \in set : TRUE IN f[x] + SumOver(f, set \ {x})
InOrder(set) == CHOOSE s \in [1..Cardinality(set) -> set] : \A a, b \in DOMAIN s : a < b => s[a] < s[b]

(***************************************************************************)
(* Rows and tokens.                                                        *)
(***************************************************************************)

\* Units of a token since this incarnation started, rounded down: Participant.now.
Clock(i) == (now - started[i]) \div Fine
TokenOf(i) == [counter |-> disk[i].counter, time |-> Clock(i)]

TokenBefore(a, b) == a.counter < b.counter \/ (a.counter = b.counter /\ a.time < b.time)
Newest(a, b) == IF TokenBefore(a, b) THEN b ELSE a

\* Of two rows of one node, the later incarnation stays, and of one incarnation the higher version.
Newer(a, b) == a.counter > b.counter \/ (a.counter = b.counter /\ a.version > b.version)

\* Whether a row has its place taken by another one of its node.
Replaces(new, old) == new.node = old.node /\ Newer(new, old)

Join(rows, row) ==
  IF \E old \in rows : old.node = row.node /\ ~Newer(row, old)
  THEN rows
  ELSE {old \in rows : ~Replaces(row, old)} \cup {row}

RowsOf(i, j) == {row \in held[i] : row.node = j}
Latest(i, j) ==
  CHOOSE row \in RowsOf(i, j) : \A other \in RowsOf(i, j) : other = row \/ Newer(row, other)
Own(j) == Latest(j, j)

\* A sealed row: `counts` says how often it counts each write, once if all is well.
Seal(j, counter, version, counts, issued, echoes) ==
  [node |-> j, counter |-> counter, version |-> version, counts |-> counts, issued |-> issued,
   echoes |-> echoes]

(***************************************************************************)
(* The start: every node runs in its first incarnation, with an empty row. *)
(***************************************************************************)

NoTokens == [k \in Nodes |-> NoToken]
EmptyJournal == [counter |-> 1, accepted |-> {}, waiting |-> <<>>, counts |-> [w \in Numbers |-> 0]]

Init ==
  /\ now = 0
  /\ disk = [j \in Nodes |-> EmptyJournal]
  /\ up = [j \in Nodes |-> TRUE]
  /\ started = [j \in Nodes |-> 0]
  /\ bucket = [j \in Nodes |-> 0]
  /\ seen = [j \in Nodes |-> NoTokens]
  /\ held = [j \in Nodes |-> {Seal(j, 1, 1, EmptyJournal.counts, 0, NoTokens)}]
  /\ step = [j \in Nodes |-> NoStep]
  /\ acknowledged = [j \in Nodes |-> {}]
  /\ read = [j \in Nodes |-> [w \in Numbers |-> Never]]
  /\ crashes = 0 /\ cuts = 0 /\ isolated = {} /\ late = NoMessage

(***************************************************************************)
(* A step of a node: stage it in memory, make it durable, show it.         *)
(***************************************************************************)

\* Whole events that the cap lets out now.
Room(j) == Max(0, Min(Burst, Rate * now - bucket[j]))

\* The client of j sends some writes, those again of which it has heard nothing.  What is durable already is
\* acknowledged at once and not counted again.  The oldest that wait go into the row, as many as the cap
\* allows.  A step may be empty: its row brings newer tokens.  Nodes without clients only pass on, to keep the
\* search small.
Begin(j, asked) ==
  /\ up[j] /\ step[j] = NoStep /\ Own(j).version < MaxVersion
  /\ j \in Writers /\ asked \subseteq Numbers \ acknowledged[j]
  /\ LET known == disk[j].accepted
         fresh == asked \ known
         waiting == disk[j].waiting \o InOrder(fresh)
         out == Min(Room(j), Len(waiting))
         released == [n \in 1..out |-> waiting[n]]
         counts == [w \in Numbers |-> disk[j].counts[w] + Cardinality({n \in 1..out : released[n] = w})]
         journal == [disk[j] EXCEPT !.accepted = @ \cup fresh,
                                    !.waiting = SubSeq(waiting, out + 1, Len(waiting)),
                                    !.counts = counts]
     IN /\ step' = [step EXCEPT ![j] =
             [durable |-> FALSE, asked |-> fresh, journal |-> journal, reading |-> now]]
        /\ acknowledged' = [acknowledged EXCEPT ![j] = @ \cup (asked \cap known)]
        /\ bucket' = [bucket EXCEPT ![j] = IF out = 0 THEN @ ELSE Max(@, Rate * now - Burst) + out]
  /\ UNCHANGED <<now, disk, up, started, seen, held, read, crashes, cuts, isolated, late>>

\* The disk has it, whole.
Commit(j) ==
  /\ up[j] /\ step[j] # NoStep /\ ~step[j].durable
  /\ disk' = [disk EXCEPT ![j] = step[j].journal]
  /\ step' = [step EXCEPT ![j].durable = TRUE]
  /\ read' = [read EXCEPT ![j] = [w \in Numbers |->
       IF step[j].journal.counts[w] > disk[j].counts[w] THEN step[j].reading ELSE @[w]]]
  /\ UNCHANGED <<now, up, started, bucket, seen, held, acknowledged, crashes, cuts, isolated, late>>

\* The next version of the own row, with the tokens seen so far; then the client hears of it.
Publish(j) ==
  /\ up[j] /\ step[j].durable
  /\ held' = [held EXCEPT ![j] = (@ \ {Own(j)}) \cup
       {Seal(j, disk[j].counter, Own(j).version + 1, step[j].journal.counts, Clock(j), seen[j])}]
  /\ acknowledged' = [acknowledged EXCEPT ![j] = @ \cup step[j].asked]
  /\ step' = [step EXCEPT ![j] = NoStep]
  /\ UNCHANGED <<now, disk, up, started, bucket, seen, read, crashes, cuts, isolated, late>>

(***************************************************************************)
(* Crashes.  The journal stays, and the count of incarnations beside it.   *)
(***************************************************************************)

Crash(j) ==
  /\ up[j] /\ crashes < MaxCrashes
  /\ up' = [up EXCEPT ![j] = FALSE]
  /\ crashes' = crashes + 1
  /\ started' = [started EXCEPT ![j] = 0]
  /\ bucket' = [bucket EXCEPT ![j] = 0]
  /\ seen' = [seen EXCEPT ![j] = NoTokens]
  /\ held' = [held EXCEPT ![j] = {}]
  /\ step' = [step EXCEPT ![j] = NoStep]
  /\ UNCHANGED <<now, disk, acknowledged, read, cuts, isolated, late>>

\* A new incarnation shows what the journal holds, has seen no token, and starts with an empty bucket.
Restart(j) ==
  /\ ~up[j]
  /\ LET counter == disk[j].counter + 1
     IN /\ disk' = [disk EXCEPT ![j].counter = counter]
        /\ held' = [held EXCEPT ![j] = {Seal(j, counter, 1, disk[j].counts, 0, NoTokens)}]
  /\ up' = [up EXCEPT ![j] = TRUE]
  /\ started' = [started EXCEPT ![j] = now]
  /\ bucket' = [bucket EXCEPT ![j] = Rate * now]
  /\ UNCHANGED <<now, seen, step, acknowledged, read, crashes, cuts, isolated, late>>

(***************************************************************************)
(* The network.                                                            *)
(***************************************************************************)

Linked(i, k) == i # k /\ ((i \in isolated) <=> (k \in isolated))

Ask(i, k) ==
  /\ Tokens /\ up[i] /\ up[k] /\ Linked(i, k)
  /\ seen' = [seen EXCEPT ![k][i] = Newest(@, TokenOf(i))]
  /\ UNCHANGED <<now, disk, up, started, bucket, held, step, acknowledged, read, crashes, cuts,
                  isolated, late>>

\* k takes a row, and the token that its writer sealed in it.
Take(k, row) ==
  /\ held' = [held EXCEPT ![k] = Join(@, row)]
  /\ seen' = IF ~Tokens \/ held'[k] = held[k] THEN seen
             ELSE [seen EXCEPT ![k][row.node] = Newest(@, [counter |-> row.counter, time |-> row.issued])]

\* k gets the row of j that i holds.  Nobody else may write a row of k.
Carry(i, k, j) ==
  /\ up[i] /\ up[k] /\ Linked(i, k) /\ j # k
  /\ \E row \in RowsOf(i, j) : Take(k, row)
  /\ UNCHANGED <<now, disk, up, started, bucket, step, acknowledged, read, crashes, cuts, isolated, late>>

\* A token or a row sets out, and arrives when it likes.
Delay(i, k, rows) ==
  /\ Late /\ up[i] /\ Linked(i, k) /\ (Tokens \/ rows # {})
  /\ late' = [to |-> k, from |-> i, token |-> IF rows = {} THEN TokenOf(i) ELSE NoToken, rows |-> rows]
  /\ UNCHANGED <<now, disk, up, started, bucket, seen, held, step, acknowledged, read, crashes, cuts,
                  isolated>>

Arrive ==
  /\ late # NoMessage /\ up[late.to]
  /\ IF late.rows = {}
     THEN /\ seen' = [seen EXCEPT ![late.to][late.from] = Newest(@, late.token)]
          /\ UNCHANGED held
     ELSE \E row \in late.rows : row.node # late.to /\ Take(late.to, row)
  /\ UNCHANGED <<now, disk, up, started, bucket, step, acknowledged, read, crashes, cuts, isolated, late>>

Cut(node) ==
  /\ isolated = {} /\ cuts < MaxCuts
  /\ isolated' = {node} /\ cuts' = cuts + 1
  /\ UNCHANGED <<now, disk, up, started, bucket, seen, held, step, acknowledged, read, crashes, late>>

Heal ==
  /\ isolated # {}
  /\ isolated' = {}
  /\ UNCHANGED <<now, disk, up, started, bucket, seen, held, step, acknowledged, read, crashes, cuts, late>>

Tick ==
  /\ now < MaxTime
  /\ now' = now + 1
  /\ UNCHANGED <<disk, up, started, bucket, seen, held, step, acknowledged, read, crashes, cuts,
                  isolated, late>>

Next ==
  \/ Tick \/ Heal \/ Arrive
  \/ \E j \in Nodes : Commit(j) \/ Publish(j) \/ Crash(j) \/ Restart(j) \/ Cut(j)
  \/ \E j \in Nodes, asked \in SUBSET Numbers : Begin(j, asked)
  \/ \E i, k \in Nodes : Ask(i, k) \/ Delay(i, k, {}) \/ \E row \in held[i] : Delay(i, k, {row})
  \/ \E i, k, j \in Nodes : Carry(i, k, j)

\* What must go on if it can: nothing is promised of a network that is never healed or a node that stays down.
Fairness ==
  /\ WF_vars(Heal)
  /\ \A j \in Nodes : WF_vars(Commit(j)) /\ WF_vars(Publish(j)) /\ WF_vars(Restart(j))
  /\ \A i, k, j \in Nodes : WF_vars(Carry(i, k, j))

Spec == Init /\ [][Next]_vars
FairSpec == Spec /\ Fairness

(***************************************************************************)
(* What a node says.                                                       *)
(***************************************************************************)

Events(row) == SumOver(row.counts, Numbers)

\* How often node i counts write w of j.
Counted(i, j, w) == SumOver([row \in RowsOf(i, j) |-> row.counts[w]], RowsOf(i, j))
Total(i) == SumOver([row \in held[i] |-> Events(row)], held[i])

\* Units of a token, by the clock of i, since the newest own token that the row of j holds.  Clocks and
\* tokens are rounded down, so one unit more.
EchoAge(i, j) ==
  IF i = j THEN 0
  ELSE IF RowsOf(i, j) = {} THEN Unknown
  ELSE LET echo == Latest(i, j).echoes[i]
       IN IF echo.counter # disk[i].counter \/ echo.time > Clock(i) THEN Unknown
          ELSE Clock(i) + 1 - echo.time

\* The most that j may have released and i does not have.
Missing(i, j) == IF i = j THEN 0 ELSE Burst + Rate * Fine * EchoAge(i, j)
Bounded(i) == \A j \in Nodes : EchoAge(i, j) # Unknown

(***************************************************************************)
(* What must hold in every state.                                          *)
(***************************************************************************)

\* What a node has released: it counts from when it is shown.  What a crash left unshown the journal has.
Released(j) == IF up[j] THEN Own(j).counts ELSE disk[j].counts
Truth == SumOver([j \in Nodes |-> SumOver(Released(j), Numbers)], Nodes)

TypesAreRight ==
  /\ now \in 0..MaxTime
  /\ \A j \in Nodes :
       /\ up[j] \in BOOLEAN /\ started[j] \in 0..MaxTime
       /\ disk[j].counter \in 1..(MaxCrashes + 1) /\ disk[j].accepted \subseteq Numbers
       /\ acknowledged[j] \subseteq Numbers
       /\ up[j] <=> RowsOf(j, j) # {}
       /\ \A row \in held[j] : row.node \in Nodes /\ row.version \in 1..MaxVersion

\* An acknowledged write is in the journal, in the row or waiting for it, whatever crashed.
NothingAcknowledgedIsLost ==
  \A j \in Nodes : \A w \in acknowledged[j] :
    /\ w \in disk[j].accepted
    /\ disk[j].counts[w] > 0 \/ \E n \in DOMAIN disk[j].waiting : disk[j].waiting[n] = w

NothingCountsTwice ==
  \A i, j \in Nodes : \A w \in Numbers :
    Counted(i, j, w) + Cardinality({n \in DOMAIN disk[j].waiting : disk[j].waiting[n] = w}) <= 1

\* Nobody sees what a crash could take back, nor what nobody wrote.
WhatIsShownIsDurable ==
  \A i \in Nodes : \A row \in held[i] : \A w \in Numbers :
    /\ row.counts[w] <= disk[row.node].counts[w]
    /\ row.counts[w] > 0 => w \in disk[row.node].accepted

\* What j released longer ago than the age is here.
NoAgeIsTooYoung ==
  \A i, j \in Nodes : up[i] /\ i # j /\ EchoAge(i, j) # Unknown =>
    \A w \in Numbers : disk[j].counts[w] > 0 /\ Counted(i, j, w) = 0 =>
      now - read[j][w] < Fine * EchoAge(i, j)

NoMoreIsMissingThanTheCapsAllow ==
  \A i, j \in Nodes : up[i] /\ i # j /\ EchoAge(i, j) # Unknown =>
    SumOver(disk[j].counts, Numbers) - SumOver([w \in Numbers |-> Counted(i, j, w)], Numbers) <= Missing(i, j)

TheIntervalHoldsTheTruth ==
  \A i \in Nodes : up[i] =>
    /\ Total(i) <= Truth
    /\ Bounded(i) => Truth <= Total(i) + SumOver([j \in Nodes |-> Missing(i, j)], Nodes)

\* No exchange would change anything, and no step is under way.
Quiet ==
  /\ \A j \in Nodes : up[j] /\ step[j] = NoStep
  /\ \A i, k \in Nodes : \A row \in held[i] : Join(held[k], row) = held[k]

Agreement ==
  /\ \A i, k \in Nodes : held[i] = held[k]
  /\ \A i \in Nodes : Total(i) = Truth
  /\ Truth = SumOver([j \in Nodes |-> SumOver(disk[j].counts, Numbers)], Nodes)

WhenAllIsQuietAllAgree == Quiet => Agreement

\* Once healed, and when nobody crashes or writes any more, all agree and stay so.
AllAgreeInTheEnd == <>[]Agreement

\* For a smaller search: a client sends all that it has at once, and only writers crash.
FewerCases == \A j \in Nodes :
  /\ {disk[j].accepted, step[j].asked, acknowledged[j]} \subseteq {{}, Numbers}
  /\ j \in Writers \/ (up[j] /\ disk[j].counter = 1)

\* For a smaller search: only readers crash.
WritersStayUp == \A j \in Writers : up[j] /\ disk[j].counter = 1

(***************************************************************************)
(* What must not hold, or the above would say nothing: TLC has to find a   *)
(* state against each.  See mutants.toml.                                  *)
(***************************************************************************)

NothingIsEverMissing == \A i \in Nodes : up[i] /\ Bounded(i) => Truth = Total(i)
QuietIsNeverReached ==
  ~(Quiet /\ Truth = Cardinality(Writers) * WritesEach /\ crashes = MaxCrashes /\ cuts = MaxCuts)
NothingWaitsOverACrash == \A j \in Nodes : disk[j].counter > 1 => disk[j].waiting = <<>>
NoLateMessageIsNews == \A row \in late.rows :
  up[late.to] /\ ~up[late.from] => Join(held[late.to], row) = held[late.to]

=============================================================================
