-------------------------- MODULE EquivocationTrace --------------------------
(* Equivocation with each step's name and arguments in a variable: see      *)
(* GossipTrace.tla.                                                         *)
EXTENDS Equivocation

VARIABLE event

TraceInit == Init /\ event = <<"Start">>

Do(action, name) == action /\ event' = name

TraceNext ==
  \/ \E row \in Rows : row \notin signed /\ Do(Sign(row), <<"Sign", row>>)
  \/ \E r \in Replicas : \/ \E row \in signed : Do(Show(r, row), <<"Show", r, row>>)
                          \/ Do(Forget(r), <<"Forget", r>>)
  \/ \E from, to \in Replicas :
       \/ Do(Carry(from, to) /\ table[from] # table[to], <<"Carry", from, to>>)
       \/ \E i \in 1..Incarnations : Do(Prove(from, to, i), <<"Prove", from, to, i>>)

TraceSpec == TraceInit /\ [][TraceNext]_<<vars, event>>

=============================================================================
