(** Which caps a member keeps to and which ones a reader counts on, while rosters change.

    Models [to_keep] and [to_count_on] of [convergence_jax/partition/writes/caps.py], for one number of a cap
    of a member (a rate or a burst; the code takes lowest and highest of each apart). A roster is its version;
    [cap v] is what version [v] gives the member, if it names it.

    Proved: what the writer keeps to is never above what a reader counts on, whichever rosters each of them
    has, whichever of them name the member, and however late news of rosters is; a reader that lacks a version
    counts on nothing. Assumed: no member ever goes back to an older roster.

    To skip a roster that does not name the member would break the bound: the example at the end. Caps about
    one agent go the same way, by statistic instead of member. *)
From Coq Require Import ZArith QArith Qminmax List Bool Lia.
Import ListNotations.
Open Scope Z_scope.
Set Default Proof Using "Type".

(** ** What the code computes *)

(** [caps._since] *)
Definition since (held : list Z) (version : Z) : list Z := filter (fun v => version <=? v) held.

(** [max] with a default *)
Definition greatest (l : list Z) (default : Z) : Z :=
  match l with [] => default | v :: rest => fold_left Z.max rest v end.

Section Caps.
(** [None] where a roster does not name the member. *)
Variable cap : Z -> option Q.

(** [_NOBODY]: it may release nothing then. *)
Definition allowed (version : Z) : Q := match cap version with Some c => c | None => 0%Q end.

(** [caps._of], with its default of 0 *)
Definition choose (better : Q -> Q -> Q) (versions : list Z) : Q :=
  match map allowed versions with
  | [] => 0%Q
  | c :: rest => fold_left better rest c
  end.

(** [to_keep]: [known] are the versions that rows of live members name, for each of them or [None]. *)
Definition oldest (known : list (option Z)) (own : Z) : Z :=
  if forallb (fun k => match k with Some _ => true | None => false end) known
  then fold_left Z.min (flat_map (fun k => match k with Some v => [v] | None => [] end) known) own
  else 0.

Definition to_keep (held : list Z) (known : list (option Z)) (own : Z) : Q :=
  let v := greatest (filter (fun v => v <=? oldest known own) held) 0 in
  choose Qmin (since held v).

(** [list(range(low, high + 1))] *)
Definition all_from (low high : Z) : list Z :=
  map (fun i => low + Z.of_nat i) (seq 0 (Z.to_nat (high + 1 - low))).

(** [to_count_on], of a member whose row names a version *)
Definition to_count_on (held : list Z) (named newest : Z) : option Q :=
  let kept := since held named in
  match kept with
  | [] => None
  | _ => if list_eq_dec Z.eq_dec kept (all_from named newest) then Some (choose Qmax kept) else None
  end.

(** ** Lowest and highest *)

Lemma fold_min_le : forall l c,
  (fold_left Qmin l c <= c)%Q /\ forall x, In x l -> (fold_left Qmin l c <= x)%Q.
Proof.
  induction l as [|y l IH]; intros c; simpl; [split; [apply Qle_refl|easy]|].
  destruct (IH (Qmin c y)) as (A & B). split.
  - eapply Qle_trans; [exact A|apply Q.le_min_l].
  - intros x [<-|I]; auto. eapply Qle_trans; [exact A|apply Q.le_min_r].
Qed.

Lemma fold_max_le : forall l c,
  (c <= fold_left Qmax l c)%Q /\ forall x, In x l -> (x <= fold_left Qmax l c)%Q.
Proof.
  induction l as [|y l IH]; intros c; simpl; [split; [apply Qle_refl|easy]|].
  destruct (IH (Qmax c y)) as (A & B). split.
  - eapply Qle_trans; [apply Q.le_max_l|exact A].
  - intros x [<-|I]; auto. eapply Qle_trans; [apply Q.le_max_r|exact A].
Qed.

Lemma lowest_is_at_most : forall versions v, In v versions -> (choose Qmin versions <= allowed v)%Q.
Proof.
  intros versions v I. apply (in_map allowed) in I. unfold choose.
  destruct (map _ _) as [|x l]; [contradiction|]. destruct (fold_min_le l x) as (A & B).
  destruct I as [<-|I]; auto.
Qed.

Lemma highest_is_at_least : forall versions v, In v versions -> (allowed v <= choose Qmax versions)%Q.
Proof.
  intros versions v I. apply (in_map allowed) in I. unfold choose.
  destruct (map _ _) as [|x l]; [contradiction|]. destruct (fold_max_le l x) as (A & B).
  destruct I as [<-|I]; auto.
Qed.

Lemma fold_Zmin_le : forall l c, fold_left Z.min l c <= c /\ forall x, In x l -> fold_left Z.min l c <= x.
Proof.
  induction l as [|y l IH]; intros c; simpl; [split; [lia|easy]|]. destruct (IH (Z.min c y)) as (A & B).
  split; [lia|]. intros x [<-|I]; auto. lia.
Qed.

Lemma fold_Zmax_in : forall l c, fold_left Z.max l c = c \/ In (fold_left Z.max l c) l.
Proof.
  induction l as [|y l IH]; intros c; simpl; auto. destruct (IH (Z.max c y)) as [E|I]; auto.
  rewrite E. destruct (Z.max_spec c y) as [[_ ->]|[_ ->]]; auto.
Qed.

Lemma greatest_is_one : forall l d, greatest l d = d \/ In (greatest l d) l.
Proof.
  intros [|v l] d; simpl; auto. destruct (fold_Zmax_in l v) as [->|I]; auto.
Qed.

Lemma in_all_from : forall low high v, In v (all_from low high) <-> low <= v <= high.
Proof.
  intros low high v; unfold all_from. rewrite in_map_iff. split.
  - intros (i & <- & I). apply in_seq in I. lia.
  - intros L. exists (Z.to_nat (v - low)). split; [lia|]. apply in_seq. lia.
Qed.

(** ** The rule *)

(** The writer holds [named], that of the row, for good. Whatever it holds now, and knows of others, as long
    as it does not think that all go by more than the reader does, it keeps to no more than that. *)
Theorem a_writer_keeps_to_no_more_than_a_reader_counts_on :
  forall writer_held known writer_newest reader_held named reader_newest most,
  In named writer_held -> 0 <= named ->
  oldest known writer_newest <= reader_newest ->
  to_count_on reader_held named reader_newest = Some most ->
  (to_keep writer_held known writer_newest <= most)%Q.
Proof.
  intros held known own reader named newest most I N O C. unfold to_count_on in C.
  destruct (since reader named) as [|x kept] eqn:S; [discriminate|].
  destruct (list_eq_dec Z.eq_dec (x :: kept) (all_from named newest)) as [E|]; [|discriminate].
  injection C as <-. rewrite E. unfold to_keep.
  set (v := greatest (filter (fun v => v <=? oldest known own) held) 0).
  assert (R : named <= newest).
  { assert (In x (all_from named newest)) by (rewrite <- E; simpl; auto). apply in_all_from in H; lia. }
  assert (W : exists w, In w held /\ v <= w /\ named <= w <= newest).
  { destruct (Z.le_gt_cases v named) as [L|L]; [exists named; repeat split; auto; lia|].
    destruct (greatest_is_one (filter (fun v => v <=? oldest known own) held) 0) as [Z0|J].
    - fold v in Z0; lia.
    - fold v in J. apply filter_In in J as (J & K). apply Z.leb_le in K. exists v. repeat split; auto; lia. }
  destruct W as (w & H & L & B). apply Qle_trans with (allowed w).
  - apply lowest_is_at_most. apply filter_In. split; [auto|apply Z.leb_le; auto].
  - apply highest_is_at_least. apply in_all_from; auto.
Qed.

Theorem a_reader_that_lacks_a_version_counts_on_nothing : forall held named newest v,
  named <= v <= newest -> ~ In v held -> to_count_on held named newest = None.
Proof.
  intros held named newest v L N. unfold to_count_on. destruct (since held named) as [|x kept] eqn:S; auto.
  destruct (list_eq_dec _ _ _) as [E|]; auto. exfalso. apply N.
  assert (I : In v (since held named)) by (rewrite S, E; apply in_all_from; auto).
  apply filter_In in I; tauto.
Qed.
End Caps.

(** ** Why the writer never thinks that all go by more than they do *)

(** What each member goes by, and what each has seen named in the rows of each. *)
Record World := world { goes_by : nat -> Z; seen : nat -> nat -> option Z }.

(** A member takes a newer roster; what it went by at any time before may be heard of at any time after. *)
Inductive turn : World -> World -> Prop :=
  | takes : forall w i v, goes_by w i <= v ->
      turn w (world (fun j => if Nat.eqb j i then v else goes_by w j) (seen w))
  | hears : forall w i j v, v <= goes_by w j ->
      turn w (world (goes_by w) (fun a b => if Nat.eqb a i && Nat.eqb b j then Some v else seen w a b)).

Definition never_ahead (w : World) : Prop := forall i j v, seen w i j = Some v -> v <= goes_by w j.

Theorem nobody_thinks_others_are_further_than_they_are : forall w w', never_ahead w -> turn w w' ->
  never_ahead w'.
Proof.
  intros w w' A T. destruct T as [w i v L|w i j v L]; intros a b x E; simpl in *.
  - specialize (A a b x E). destruct (Nat.eqb_spec b i); subst; lia.
  - destruct (Nat.eqb_spec a i), (Nat.eqb_spec b j); simpl in E; subst;
      try exact (A _ _ _ E). injection E as <-; auto.
Qed.

Corollary the_oldest_known_is_no_newer_than_any_member : forall w i members own j,
  never_ahead w -> In j members -> 0 <= goes_by w j -> oldest (map (seen w i) members) own <= goes_by w j.
Proof.
  intros w i members own j A I P. unfold oldest. destruct (forallb _ _) eqn:F; [|lia].
  rewrite forallb_forall in F. specialize (F (seen w i j) (in_map _ _ _ I)).
  destruct (seen w i j) as [v|] eqn:S; [|discriminate].
  pose proof (A i j v S). eapply Z.le_trans; [|exact H].
  apply (proj2 (fold_Zmin_le _ own)). apply in_flat_map. exists (Some v).
  split; [rewrite <- S; apply in_map; auto|simpl; auto].
Qed.

(** Why a roster counts as 0 where it does not name the member. The writer missed the third roster and keeps
    to those from the second on; the reader counts on the first to the third. To skip the second breaks it. *)
Example a_roster_that_leaves_a_member_out_is_not_skipped :
  let cap v := match v with 1 | 3 => Some 5%Q | 4 => Some 100%Q | _ => None end in
  let named := filter (fun v => match cap v with Some _ => true | None => false end) in
  to_keep cap [1; 2; 4] [Some 2; Some 2; Some 4] 4 = 0%Q
  /\ to_count_on cap [1; 2; 3] 1 3 = Some 5%Q
  /\ choose cap Qmin (named (since [1; 2; 4] 2)) = 100%Q.
Proof. repeat split. Qed.
