---------------------------- MODULE Equivocation ----------------------------
(***************************************************************************)
(* A node that contradicts itself: two copies of it sign different rows    *)
(* under one version.  Which replicas find out, and that in the end all    *)
(* exclude it alike.  How to read this: see Gossip.tla.                    *)
(*                                                                         *)
(*   Sign     the liar's key is used: any text, under any version of any   *)
(*            of its incarnations                                          *)
(*   Show     the liar shows one of its rows to one replica                *)
(*   Carry    a replica passes on the row that it holds: Replica.join      *)
(*   Prove    a replica passes on its proof: Replica.join_conflict         *)
(*   Forget   a replica crashes: proofs are kept in memory only            *)
(*                                                                         *)
(* A later incarnation of the liar absorbs an earlier one, but a proof     *)
(* against any of them excludes the node.  Digests show that two rows of   *)
(* one version differ (Digest.prints), so Carry depends on the text too.   *)
(* Left out: a new roster that lifts the exclusion.                        *)
(***************************************************************************)
EXTENDS Integers, FiniteSets

CONSTANTS Replicas, Incarnations, Versions, Texts, MaxSigned, MaxForgotten

VARIABLES
  signed,    \* rows that carry the liar's signature
  table,     \* rows of the liar that each replica holds: at most one
  proofs,    \* incarnations of the liar against which each replica holds a proof
  forgotten

vars == <<signed, table, proofs, forgotten>>

Rows == [incarnation : 1..Incarnations, version : 1..Versions, text : Texts]

Contradict(a, b) == a.incarnation = b.incarnation /\ a.version = b.version /\ a.text # b.text

Replaces(new, old) ==
  new.incarnation > old.incarnation \/ (new.incarnation = old.incarnation /\ new.version > old.version)

Init ==
  /\ signed = {}
  /\ table = [r \in Replicas |-> {}]
  /\ proofs = [r \in Replicas |-> {}]
  /\ forgotten = 0

Sign(row) ==
  /\ Cardinality(signed) < MaxSigned
  /\ signed' = signed \cup {row}
  /\ UNCHANGED <<table, proofs, forgotten>>

\* Nothing more is taken of an incarnation against which there is a proof.
Take(r, row) ==
  IF row.incarnation \in proofs[r] THEN UNCHANGED <<table, proofs>>
  ELSE /\ proofs' = IF \E old \in table[r] : Contradict(row, old)
                    THEN [proofs EXCEPT ![r] = @ \cup {row.incarnation}] ELSE proofs
       /\ table' = IF \A old \in table[r] : Replaces(row, old)
                   THEN [table EXCEPT ![r] = {row}] ELSE table

Show(r, row) ==
  /\ row \in signed
  /\ Take(r, row)
  /\ UNCHANGED <<signed, forgotten>>

Carry(from, to) ==
  /\ from # to
  /\ \E row \in table[from] : row.incarnation \notin proofs[from] /\ Take(to, row)
  /\ UNCHANGED <<signed, forgotten>>

Prove(from, to, incarnation) ==
  /\ from # to /\ incarnation \in proofs[from]
  /\ proofs' = [proofs EXCEPT ![to] = @ \cup {incarnation}]
  /\ UNCHANGED <<signed, table, forgotten>>

Forget(r) ==
  /\ forgotten < MaxForgotten
  /\ table' = [table EXCEPT ![r] = {}]
  /\ proofs' = [proofs EXCEPT ![r] = {}]
  /\ forgotten' = forgotten + 1
  /\ UNCHANGED signed

Next ==
  \/ \E row \in Rows : Sign(row) \/ \E r \in Replicas : Show(r, row)
  \/ \E from, to \in Replicas : Carry(from, to) \/ \E i \in 1..Incarnations : Prove(from, to, i)
  \/ \E r \in Replicas : Forget(r)

Fairness == \A from, to \in Replicas :
  WF_vars(Carry(from, to)) /\ \A i \in 1..Incarnations : WF_vars(Prove(from, to, i))

Spec == Init /\ [][Next]_vars
FairSpec == Spec /\ Fairness

(***************************************************************************)
(* What must hold.                                                         *)
(***************************************************************************)

Excludes(r) == proofs[r] # {}
Counts(r) == IF Excludes(r) THEN {} ELSE table[r]

TypesAreRight ==
  /\ signed \subseteq Rows
  /\ \A r \in Replicas : table[r] \subseteq signed /\ proofs[r] \subseteq 1..Incarnations

AtMostOneRowIsHeld == \A r \in Replicas : Cardinality(table[r]) <= 1

\* Nobody is excluded but by two rows that it signed.
WhoeverIsExcludedContradictedItself ==
  \A r \in Replicas : \A i \in proofs[r] : \E a, b \in signed :
    a.incarnation = i /\ b.incarnation = i /\ a.version = b.version /\ a # b

\* No exchange would change anything.
Quiet ==
  \A from, to \in Replicas :
    /\ proofs[from] \subseteq proofs[to]
    /\ \A row \in table[from] : row.incarnation \in proofs[from] \/
         (\E old \in table[to] : old = row \/ Replaces(old, row)) \/ row.incarnation \in proofs[to]

\* All exclude it, or none does and all count the same row of it.
AllExcludeAlike == \A a, b \in Replicas : Excludes(a) = Excludes(b) /\ Counts(a) = Counts(b)
AfterExchangeAllExcludeAlike == Quiet => AllExcludeAlike

\* A proof is for good, but where a crash takes it.
ProofsStay == [][\A r \in Replicas : proofs[r] \subseteq proofs'[r] \/ forgotten' > forgotten]_vars

\* With no crash, one proof anywhere becomes one everywhere, and all agree in the end.
ProofsSpread ==
  MaxForgotten = 0 => ((\E r \in Replicas : Excludes(r)) ~> (\A r \in Replicas : Excludes(r)))
AllAgreeInTheEnd == ProofsSpread /\ <>[]AllExcludeAlike

(***************************************************************************)
(* What does not hold, as docs/explanation/partition.md says.              *)
(***************************************************************************)

\* A pair that no replica ever holds together is not found.
EveryPairIsFound == Quiet /\ (\A r \in Replicas : table[r] # {}) =>
  ((\E a, b \in signed : Contradict(a, b)) => \A r \in Replicas : Excludes(r))
NobodyIsEverExcluded == \A r \in Replicas : ~Excludes(r)
AllAlwaysExcludeAlike == \A a, b \in Replicas : Excludes(a) = Excludes(b)

=============================================================================
