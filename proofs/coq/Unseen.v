(** What may be unseen of an origin: the echo age and the token bucket together.

    Models [unseen] and [Unseen] of [convergence_jax/partition/unseen.py], and the steps of a node
    ([Participant.begin] and [finish], [Backlog.release_additions] and [release_removals]): it reads its
    clock, fills its buckets up to that, releases, and publishes its row before it reads the clock again.

    Proved, however steps, tokens, rows, restarts, changes of caps and clocks run: what an origin has released
    after a row that holds a token of the reader is at most [unseen] of [age_bound], rounded up to a float64
    as the code does, or to infinity. Sums over origins hold.

    [OutwardRounding.round_up] has the rounding of [age_bound]: [float] of a fraction, then [nextafter]. *)
From Coq Require Import Reals ZArith QArith Qreals Qround List Lia Lra Psatz.
From Convergence Require Import Ages TokenBucket OutwardRounding.
Import ListNotations.
Set Default Proof Using "Type".

(** ** What the code computes *)

(** [unseen]; [None] for what is infinite, and for no bound. *)
Definition unseen (burst rate : Q) (age : option Q) : option Z :=
  match age with
  | Some seconds => Some (Qfloor (burst + rate * seconds))
  | None => if Qeq_bool rate 0 then Some (Qfloor burst) else None
  end.

(** [Unseen.__add__], of either number *)
Definition together (a b : option Z) : option Z :=
  match a, b with Some x, Some y => Some (x + y)%Z | _, _ => None end.

(** [Unseen.among] *)
Definition among (visible : Z) (removals : option Z) : Z :=
  match removals with Some n => Z.min n visible | None => visible end.

Definition bounds (most : option Z) (n : Z) : Prop := match most with Some m => (n <= m)%Z | None => True end.

Theorem bounds_add_up : forall a b m n, bounds a m -> bounds b n -> bounds (together a b) (m + n).
Proof. intros [x|] [y|] m n; simpl; auto; lia. Qed.

(** [M] of the documentation: over all origins. *)
Corollary all_origins_together : forall origins : list (option Z * Z),
  (forall o, In o origins -> bounds (fst o) (snd o)) ->
  bounds (fold_right together (Some 0%Z) (map fst origins)) (fold_right Z.add 0%Z (map snd origins)).
Proof.
  induction origins as [|o rest IH]; intros H; simpl; [lia|].
  apply bounds_add_up; auto with datatypes.
Qed.

Theorem no_more_is_taken_back_than_is_here : forall visible removals n, bounds removals n ->
  (n <= visible)%Z -> (n <= among visible removals)%Z.
Proof. intros visible [m|] n; simpl; lia. Qed.

(** ** Steps *)

(** One step of a node: when it read its clock, what it read, what it did to its bucket, when it published. *)
Record Step := step_at { read_at : R; nanoseconds : Z; actions : list Action; published_at : R }.

Definition all_of (steps : list Step) : list Action := concat (map actions steps).

(** Steps never overlap, and act on what they read. *)
Fixpoint one_after_the_other (origin : Clock) (since : R) (steps : list Step) : Prop :=
  match steps with
  | [] => True
  | s :: rest =>
      (since <= read_at s <= published_at s)%R /\ reads origin (read_at s) (nanoseconds s)
      /\ (forall a, In a (actions s) -> reading a = nanoseconds s)
      /\ one_after_the_other origin (published_at s) rest
  end.

(** Released is what was granted: the backlog asks for no more than the bucket has. *)
Lemma what_is_available_is_granted : forall b wanted now, (wanted <= available b now)%Z ->
  granted b wanted now = wanted.
Proof. unfold granted; intros; lia. Qed.

(** A boot sets the clock back to 0. Buckets know only differences, so it may as well have gone on. *)
Theorem a_clock_that_is_set_anew_changes_nothing : forall m zero now shift events,
  whole m (zero + gain m * shift) (now + shift) = whole m zero now
  /\ after m (zero + gain m * shift) (now + shift) events = (after m zero now events + gain m * shift)%Z.
Proof.
  intros m zero now shift events; unfold whole, grains, after.
  split; [do 3 f_equal; ring|]. lia.
Qed.

Lemma a_reading_exists : forall clock t, exists n, reads clock t n.
Proof.
  intros clock t. exists (up (clock t * 10 ^ 9) - 1)%Z. unfold reads.
  destruct (archimed (clock t * 10 ^ 9)) as (A & B). rewrite minus_IZR. lra.
Qed.

Lemma orderly_apart : forall rate burst l m b, orderly rate burst b (l ++ m) <->
  orderly rate burst b l /\ orderly rate burst (fold_left act l b) m.
Proof. induction l as [|a l IH]; intros m b; simpl; [tauto|]. rewrite IH. tauto. Qed.

Lemma caps_are_kept : forall rate burst l b, within rate burst (cap b) -> orderly rate burst b l ->
  within rate burst (cap (fold_left act l b)).
Proof.
  induction l as [|a l IH]; intros b W O; simpl in *; auto. destruct O as (O & O').
  apply IH; auto. destruct a; simpl in *; tauto.
Qed.

Lemma steps_apart : forall origin since l m, one_after_the_other origin since (l ++ m) ->
  one_after_the_other origin since l
  /\ exists t, one_after_the_other origin t m /\ (since <= t)%R
       /\ forall s, In s l -> (published_at s <= t)%R.
Proof.
  intros origin since l; revert since; induction l as [|s l IH]; intros since m O; simpl in *.
  - split; auto. exists since; split; auto. split; [lra|easy].
  - destruct O as (T & D & A & O). destruct (IH _ _ O) as (L & t & M & S & P).
    split; [auto|]. exists t; split; auto. split; [lra|]. intros s' [<-|I]; auto.
Qed.

Lemma steps_read_in_between : forall origin steps since a, one_after_the_other origin since steps ->
  In a (all_of steps) -> exists s, In s steps /\ In a (actions s) /\ (since <= read_at s)%R
    /\ reads origin (read_at s) (reading a) /\ (read_at s <= published_at s)%R.
Proof.
  induction steps as [|s steps IH]; intros since a O I; [contradiction|].
  unfold all_of in I; simpl in *. destruct O as ((T & T') & D & A & O).
  apply in_app_or in I as [I|I].
  - exists s. rewrite (A a I). auto 8.
  - destruct (IH _ a O I) as (s' & J & K & X & Y & Z0). exists s'. repeat split; auto; try apply Y; lra.
Qed.

Section OneOrigin.
Variables (drift : Q) (issuer origin : Clock).
Let by_drift : R := Q2R drift.
Hypothesis bounded : (0 <= by_drift < 1)%R.
Hypothesis issuer_keeps : keeps by_drift issuer.
Hypothesis origin_keeps : keeps by_drift origin.
(** What the reader counts on: no cap that the origin kept to was higher. *)
Variables rate burst : Q.
Hypothesis rate_is_none_or_more : (0 <= rate)%Q.
(** The origin began with some bucket; [earlier] steps, then that of the [row] that the reader has. *)
Variables (began : R) (first : Bucket) (earlier : list Step) (row : Step) (later : list Step).
Hypothesis first_was_read : reads origin began (clock first).
Hypothesis first_within : within (Q2R rate) (Q2R burst) (cap first).
Hypothesis in_order : one_after_the_other origin began (earlier ++ row :: later).
Hypothesis orderly_all : orderly (Q2R rate) (Q2R burst) first (all_of (earlier ++ row :: later)).
(** The reader issued a token, which the row holds; the reader asks now. *)
Variables (issue now : R) (started m n : Z).
Hypothesis read_at_issue : reads issuer issue m.
Hypothesis read_now : reads issuer now n.
Hypothesis row_holds_the_token : (issue <= published_at row)%R.
Hypothesis row_is_here : (published_at row <= now)%R.
Hypothesis not_yet : forall s, In s later -> (read_at s <= now)%R.

(** Released by now, and not in the row. *)
Definition missing : Z :=
  total (fold_left act (all_of (earlier ++ [row])) first) (all_of later).

Theorem what_is_missing_is_bounded : (IZR missing
  <= Q2R burst + Q2R rate * Q2R (age_bound (seconds started m n) drift))%R.
Proof using All.
  assert (R0 : (0 <= Q2R rate)%R) by (rewrite <- RMicromega.Q2R_0; apply Qle_Rle; auto).
  replace (earlier ++ row :: later) with ((earlier ++ [row]) ++ later) in * by (rewrite <- app_assoc; auto).
  destruct (steps_apart _ _ _ _ in_order) as (Before & t & After & Began & Published).
  assert (Since : (published_at row <= t)%R) by (apply Published; apply in_or_app; simpl; auto).
  assert (Last : one_after_the_other origin (published_at row) later).
  { rewrite <- app_assoc in in_order.
    destruct (steps_apart _ _ _ _ in_order) as (_ & t' & (_ & _ & _ & L) & _).
    exact L. }
  assert (BeganRow : (began <= published_at row)%R).
  { rewrite <- app_assoc in in_order.
    destruct (steps_apart _ _ _ _ in_order) as (_ & t' & ((L & L2) & _) & L' & _).
    lra. }
  destruct (a_reading_exists origin (published_at row)) as (p & P).
  destruct (a_reading_exists origin now) as (q & Q).
  assert (PQ : (p <= q)%Z) by (apply (readings_never_fall by_drift origin (published_at row) now); auto).
  unfold all_of in orderly_all at 1. rewrite map_app, concat_app in orderly_all.
  fold (all_of (earlier ++ [row])) (all_of later) in orderly_all.
  apply orderly_apart in orderly_all as (O1 & O2).
  assert (C : (clock (fold_left act (all_of (earlier ++ [row])) first) <= p)%Z).
  { apply (clocks_end_at_the_last_reading (Q2R rate) (Q2R burst)); auto.
    - apply (readings_never_fall by_drift origin began (published_at row)); auto.
    - intros a I. destruct (steps_read_in_between _ _ _ a Before I) as (s & J & K & S & D & U).
      assert (published_at s <= published_at row)%R.
      { apply in_app_or in J as [J|[->|[]]]; [|lra]. rewrite <- app_assoc in in_order.
        destruct (steps_apart _ _ _ _ in_order) as (_ & t' & ((L & L') & _) & _ & L'').
        specialize (L'' s J). lra. }
      apply (readings_never_fall by_drift origin (read_at s) (published_at row)); auto. lra. }
  assert (W : (IZR missing <= Q2R burst + Q2R rate / 10 ^ 9 * IZR (q - p))%R).
  { apply no_window_has_more_than_the_cap; auto; try lia.
    - apply caps_are_kept; auto.
    - intros a I. destruct (steps_read_in_between _ _ _ a Last I) as (s & J & K & S & D & U).
      split; [apply (readings_never_fall by_drift origin (published_at row) (read_at s)); auto|].
      apply (readings_never_fall by_drift origin (read_at s) now); auto. }
  pose proof (readings_lie_within_the_bound drift issuer origin bounded issuer_keeps origin_keeps issue now
    started m n read_at_issue read_now ltac:(lra) (published_at row) now p q row_holds_the_token
    ltac:(lra) P Q) as A.
  eapply Rle_trans; [exact W|]. apply Rplus_le_compat_l. unfold Rdiv. rewrite Rmult_assoc.
  apply Rmult_le_compat_l; auto. set (age := Q2R (age_bound _ _)) in *. lra.
Qed.

Lemma floors_bound : forall x : Q, forall k : Z, (IZR k <= Q2R x)%R -> (k <= Qfloor x)%Z.
Proof.
  clear. intros x k H. replace k with (Qfloor (inject_Z k)) by apply Qfloor_Z.
  apply Qfloor_resp_le. apply Rle_Qle. replace (Q2R (inject_Z k)) with (IZR k); auto.
  unfold Q2R; simpl. field.
Qed.

Lemma a_longer_age_bounds_more : forall age, (Q2R (age_bound (seconds started m n) drift) <= Q2R age)%R ->
  bounds (unseen burst rate (Some age)) missing.
Proof using All.
  intros age A. apply floors_bound. rewrite Q2R_plus, Q2R_mult.
  pose proof what_is_missing_is_bounded as M.
  assert (0 <= Q2R rate)%R by (rewrite <- RMicromega.Q2R_0; apply Qle_Rle; auto).
  eapply Rle_trans; [exact M|]. apply Rplus_le_compat_l, Rmult_le_compat_l; auto.
Qed.

(** [unseen] is a bound: whatever happened, and in whatever order. *)
Theorem no_row_lacks_more_than_unseen_says : forall age : option Q,
  round_up (Q2R (age_bound (seconds started m n) drift)) = option_map Q2R age ->
  bounds (unseen burst rate age) missing.
Proof using All.
  intros [age|] A.
  - apply a_longer_age_bounds_more.
    pose proof (rounded_up_is_the_smallest_float_not_below
      (Q2R (age_bound (seconds started m n) drift))) as U.
    rewrite A in U. apply U.
  - unfold unseen. destruct (Qeq_bool rate 0) eqn:Z0; [|exact I]. apply Qeq_bool_eq in Z0.
    apply floors_bound. pose proof what_is_missing_is_bounded as M.
    rewrite (Qeq_eqR _ _ Z0), RMicromega.Q2R_0 in M. lra.
Qed.
End OneOrigin.

(** Without an echo nothing is bounded, but for an origin that earns nothing. *)
Theorem without_a_rate_no_age_is_needed : forall rate burst actions b s t, (rate == 0)%Q ->
  within (Q2R rate) (Q2R burst) (cap b) -> orderly (Q2R rate) (Q2R burst) b actions -> (clock b <= t)%Z ->
  (forall a, In a actions -> s <= reading a <= t)%Z -> (s <= t)%Z ->
  bounds (unseen burst rate None) (total b actions).
Proof.
  intros rate burst actions b s t E W O C L S. unfold unseen.
  rewrite (proj2 (Qeq_bool_iff rate 0) E). apply floors_bound.
  assert (Z0 : Q2R rate = 0%R) by (rewrite (Qeq_eqR _ _ E); apply RMicromega.Q2R_0).
  pose proof (no_window_has_more_than_the_cap (Q2R rate) (Q2R burst) actions b s t W O ltac:(lra) C L S) as X.
  rewrite Z0 in X. lra.
Qed.
