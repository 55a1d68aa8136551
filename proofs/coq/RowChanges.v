(** Changes of a row: what a relay may do to them, and that they lead to what the writer sealed.

    Models [Cells.since] and [Cells.patch] of [convergence_jax/partition/rows/cells.py] and the part of
    [Replica._join] that comes before [Rows.join]: base, patch, digest, signature. Cells are a function from
    names to numbers, 0 for a cell that does not exist; a digest is any function that tells cells apart.

    Proved: what is taken is a row that its writer signed, cell by cell, whoever passed it on; what is not
    taken changes nothing; a change since a version, from whoever has every version, leads from any version in
    between to what the writer sealed; and from a relay that skipped versions it may not, and is then refused,
    so that the whole row is asked for. *)
From Coq Require Import ZArith List Bool Lia.
Import ListNotations.
Open Scope Z_scope.
Set Default Proof Using "Type".

Definition Cells := Z -> Z.
Definition none : Cells := fun _ => 0.
Definition alike (a b : Cells) : Prop := forall name, a name = b name.

(** What travels: the changed cells, with 0 for one that is gone. *)
Definition Change := Z -> option Z.

(** [Cells.patch] and [apply]; with [whole] no other cells are left. *)
Definition patch (cells : Cells) (change : Change) (whole : bool) : Cells :=
  fun name => match change name with Some data => data | None => if whole then 0 else cells name end.

(** [Cells.since]: what changed after a version, [changed] telling when each cell last did. *)
Definition since (cells : Cells) (changed : Z -> Z) (base : Z) : Change :=
  fun name => if base <? changed name then Some (cells name) else None.

(** A row as it is held: what is signed of it, and its cells. *)
Record Held := held { version : Z; signed : Z; cells : Cells }.
Record Update := update { new_version : Z; base : Z; numbers : Z; change : Change }.

Section Relays.
Variable digest : Cells -> Z.
(** No two contents have one digest: SHA-256 holds. *)
Hypothesis digests_tell_apart : forall a b, digest a = digest b -> alike a b.
(** [verify version numbers digest]: the writer signed this head. *)
Variable verify : Z -> Z -> Z -> bool.

(** [Replica._join] before rows are joined: the row that an update says, if its writer signed it. *)
Definition read (have : Held) (u : Update) : option Held :=
  if (new_version u <? version have) || (new_version u <? 1) || (version have <? base u) then None
  else
    let after := patch (cells have) (change u) (base u =? 0) in
    if verify (new_version u) (numbers u) (digest after)
    then Some (held (new_version u) (numbers u) after) else None.

(** Whoever passed it on and whatever was made of it: what is taken is what the writer sealed and signed. *)
Theorem a_relay_can_change_nothing : forall (sealed : Z -> Z -> Cells -> Prop) have u row,
  (forall v n d, verify v n d = true -> exists c, sealed v n c /\ digest c = d) ->
  read have u = Some row ->
  exists c, sealed (version row) (signed row) c /\ alike (cells row) c.
Proof using digests_tell_apart.
  intros sealed have u row S R. unfold read in R. destruct (_ || _); [discriminate|].
  destruct (verify _ _ _) eqn:V; [|discriminate]. injection R as <-. simpl.
  destruct (S _ _ _ V) as (c & C & D). exists c; auto.
Qed.

(** ** A change leads where it says *)

(** What the writer sealed under each version. *)
Variable history : Z -> Cells.
Hypothesis digest_is_of_the_cells : forall a b, alike a b -> digest a = digest b.

(** [changed] is right about the history: after it, a cell stayed as it is. *)
Definition follows (changed : Z -> Z) (now : Z) : Prop :=
  forall name v, changed name <= v <= now -> history v name = history now name.

Theorem a_change_leads_to_what_was_sealed : forall changed now have from,
  follows changed now -> from <= version have <= now -> alike (cells have) (history (version have)) ->
  alike (patch (cells have) (since (history now) changed from) false) (history now).
Proof.
  intros changed now have from F L A name. unfold patch, since.
  destruct (Z.ltb_spec from (changed name)) as [|N]; auto. rewrite A. apply F; lia.
Qed.

(** The whole row leads there from anything. *)
Theorem a_whole_row_leads_to_what_was_sealed : forall changed now have,
  (forall name, changed name <= 0 -> history now name = 0) ->
  alike (patch have (since (history now) changed 0) true) (history now).
Proof.
  intros changed now have F name. unfold patch, since.
  destruct (Z.ltb_spec 0 (changed name)); auto. rewrite F; auto.
Qed.

Corollary an_honest_change_is_taken : forall changed now numbers have from,
  follows changed now -> 0 < from <= version have -> version have <= now -> 1 <= now ->
  alike (cells have) (history (version have)) -> verify now numbers (digest (history now)) = true ->
  exists row, read have (update now from numbers (since (history now) changed from)) = Some row
    /\ version row = now /\ alike (cells row) (history now).
Proof using digest_is_of_the_cells.
  intros changed now numbers have from F L V N A S. unfold read; simpl.
  destruct (Z.ltb_spec now (version have)); [lia|]. destruct (Z.ltb_spec now 1); [lia|].
  destruct (Z.ltb_spec (version have) from); [lia|]. destruct (Z.eqb_spec from 0); [lia|]. simpl.
  pose proof (a_change_leads_to_what_was_sealed changed now have from F ltac:(lia) A) as P.
  rewrite (digest_is_of_the_cells _ _ P), S. eexists; split; [reflexivity|]. simpl; auto.
Qed.

(** The writer, and whoever took every version, marks each cell with the version that changed it last. *)
Fixpoint marked (versions : nat) : Z -> Z :=
  match versions with
  | O => fun _ => 0
  | S v => fun name =>
      if history (Z.of_nat (S v)) name =? history (Z.of_nat v) name then marked v name else Z.of_nat (S v)
  end.

Theorem who_took_every_version_marks_them_right : forall now, follows (marked now) (Z.of_nat now).
Proof.
  induction now as [|now IH]; intros name v L.
  - simpl in L. replace v with (Z.of_nat 0) by (simpl; lia). reflexivity.
  - cbn [marked] in L.
    destruct (Z.eqb_spec (history (Z.of_nat (S now)) name) (history (Z.of_nat now) name)) as [E|E].
    + destruct (Z.eq_dec v (Z.of_nat (S now))) as [->|]; auto. rewrite E. apply IH. lia.
    + replace v with (Z.of_nat (S now)) by lia. reflexivity.
Qed.
End Relays.

(** A relay took versions 1 and 3, which are alike, and knows of no change; its change for a replica that has
    version 2 is empty, leads to something else than was signed, and is refused. *)
Example a_relay_that_skipped_a_version_may_be_refused :
  let history v := if v =? 2 then (fun _ => 20) else (fun _ => 10) : Cells in
  let digest (c : Cells) := c 0 in
  let verify v (n d : Z) := d =? digest (history v) in
  let changed := fun _ : Z => 1 in
  let change := since (history 3) changed in
  read digest verify (held 2 0 (history 2)) (update 3 2 0 (change 2)) = None
  /\ exists row, read digest verify (held 2 0 (history 2)) (update 3 0 0 (change 0)) = Some row
       /\ cells row 0 = 10.
Proof. split; [reflexivity|]. eexists; split; reflexivity. Qed.
