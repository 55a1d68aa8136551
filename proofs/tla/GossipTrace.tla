----------------------------- MODULE GossipTrace -----------------------------
(* Gossip with each step's name and arguments, and what every node may say  *)
(* after it, in variables: replay.py takes such steps on the real classes   *)
(* and compares.  Of steps that change nothing some are left out: what      *)
(* repeats is the second version of a row, and older rows that arrive late. *)
EXTENDS Gossip

VARIABLES event, says

Says == [i \in Nodes |->
  IF ~up[i] THEN [total |-> 0, ages |-> <<>>, missing |-> <<>>]
  ELSE [total |-> Total(i),
        ages |-> [j \in Nodes |-> EchoAge(i, j)],
        missing |-> [j \in Nodes |-> IF EchoAge(i, j) = Unknown THEN Unknown ELSE Missing(i, j)]]]

TraceInit == Init /\ event = <<"Start">> /\ says = Says

Do(action, name) == action /\ event' = name /\ says' = Says'

TraceNext ==
  \/ Do(Tick, <<"Tick">>)
  \/ \E j \in Nodes :
       \/ \E asked \in SUBSET Numbers : Do(Begin(j, asked), <<"Begin", j, asked>>)
       \/ Do(Commit(j), <<"Commit", j>>)
       \/ Do(Publish(j), <<"Publish", j>>)
       \/ Do(Crash(j), <<"Crash", j>>)
       \/ Do(Restart(j), <<"Restart", j>>)
  \/ \E i, k \in Nodes : Do(Ask(i, k) /\ seen' # seen, <<"Ask", i, k>>)
  \/ \E i, k, j \in Nodes : 
       Do(Carry(i, k, j) /\ (RowsOf(i, j) # RowsOf(k, j) \/ (i = j /\ Own(j).version = 2)),
          <<"Carry", i, k, j>>)

TraceSpec == TraceInit /\ [][TraceNext]_<<vars, event, says>>

=============================================================================
