(** Echo ages: how old a row is at most, by clocks that are never compared.

    Models [Participant.now], [Replica.age] ([convergence_jax/partition/rows/replica.py]) and [age_bound]
    ([convergence_jax/partition/unseen.py]), which compute with exact fractions. A clock shows seconds, a real
    number, at each instant of true time; what is read is whole nanoseconds, rounded down; a token is whole
    milliseconds, rounded down.

    Proved, for any delays: the age, drift allowed for, is never below the time that went by on the origin's
    clock since the row was published; two readings of that clock may lie a part of a nanosecond further
    apart, and do, but never further than [age_bound], which counts a nanosecond more. It is at most the true
    time since the token was issued, drift allowed for twice, and two milliseconds and a nanosecond. *)
From Coq Require Import Reals QArith Qreals ZArith Lia Lra Psatz.
Open Scope R_scope.
Set Default Proof Using "Type".

(** ** What the code computes *)

(** [Participant.now]: milliseconds since the incarnation started, rounded down. *)
Definition milliseconds (started reading : Z) : Z := ((reading - started) / 1000000)%Z.

(** [Replica.age], in seconds: both ends were rounded down. *)
Definition echo_age (now issued : Z) : Q := (now + 1 - issued) # 1000.

(** [_READING] *)
Definition READING : Q := 1 # 1000000000.

(** The first part of [age_bound]. *)
Definition drifted (seconds drift : Q) : Q := (seconds * (1 + drift) / (1 - drift))%Q.

(** [age_bound], which the code then rounds up: [OutwardRounding.round_up]. *)
Definition age_bound (seconds drift : Q) : Q := (drifted seconds drift + READING)%Q.

(** ** Clocks *)

Definition Clock := R -> R.

(** Over any time a clock runs no faster than [1 + drift] and no slower than [1 - drift]. *)
Definition keeps (drift : R) (clock : Clock) : Prop :=
  forall s t, s <= t -> (1 - drift) * (t - s) <= clock t - clock s <= (1 + drift) * (t - s).

(** [n] nanoseconds are read off a clock at an instant. *)
Definition reads (clock : Clock) (t : R) (n : Z) : Prop := IZR n <= clock t * 10 ^ 9 < IZR n + 1.

Lemma readings_never_fall : forall drift clock s t m n, 0 <= drift < 1 -> keeps drift clock -> s <= t ->
  reads clock s m -> reads clock t n -> (m <= n)%Z.
Proof.
  intros drift clock s t m n D K L (M1 & M2) (N1 & N2). destruct (K s t L) as (C & _).
  assert (0 <= (1 - drift) * (t - s)) by (apply Rmult_le_pos; lra).
  enough (IZR m < IZR (n + 1)) by (apply lt_IZR in H0; lia). rewrite plus_IZR. lra.
Qed.

(** Milliseconds that were rounded down are less than one off, at each end. *)
Lemma milliseconds_are_near : forall started m n,
  let age := (milliseconds started n + 1 - milliseconds started m)%Z in
  (n - m < 1000000 * age < n - m + 2000000)%Z.
Proof.
  intros started m n; unfold milliseconds; cbv zeta.
  pose proof (Z.div_mod (n - started) 1000000 ltac:(lia)). pose proof (Z.mod_pos_bound (n - started) 1000000).
  pose proof (Z.div_mod (m - started) 1000000 ltac:(lia)). pose proof (Z.mod_pos_bound (m - started) 1000000).
  lia.
Qed.

(** The same in exact fractions and in real numbers. *)
Lemma drifted_is_exact : forall seconds drift, 0 <= Q2R drift < 1 ->
  Q2R (drifted seconds drift) = Q2R seconds * (1 + Q2R drift) / (1 - Q2R drift).
Proof.
  intros seconds drift D. assert (one : Q2R 1 = 1) by (unfold Q2R; simpl; lra).
  unfold drifted. rewrite Q2R_div, Q2R_mult, Q2R_plus, Q2R_minus, one; auto.
  intros Z. apply Qeq_eqR in Z. rewrite Q2R_minus, one, RMicromega.Q2R_0 in Z. lra.
Qed.

Lemma age_bound_is_exact : forall seconds drift,
  Q2R (age_bound seconds drift) = Q2R (drifted seconds drift) + / 10 ^ 9.
Proof. intros; unfold age_bound, READING. rewrite Q2R_plus. f_equal. unfold Q2R; simpl; lra. Qed.

Section Echo.
(** [Roster.drift], exactly. *)
Variable drift : Q.
Let by_drift : R := Q2R drift.
Variables issuer origin : Clock.
Hypothesis bounded : 0 <= by_drift < 1.
Hypothesis issuer_keeps : keeps by_drift issuer.
Hypothesis origin_keeps : keeps by_drift origin.
(** The issuer reads its clock when it issues a token and when it asks for the age. *)
Variables (issue now : R) (started m n : Z).
Hypothesis read_at_issue : reads issuer issue m.
Hypothesis read_now : reads issuer now n.
Hypothesis issued_before : issue <= now.

Definition seconds : Q := echo_age (milliseconds started n) (milliseconds started m).

Lemma the_issuer_counts_enough : issuer now - issuer issue < Q2R seconds.
Proof using read_at_issue read_now.
  destruct (milliseconds_are_near started m n) as (A & _).
  destruct read_at_issue as (M1 & M2), read_now as (N1 & N2).
  unfold seconds, echo_age, Q2R. cbn [Qnum Qden].
  set (e := (_ + 1 - _)%Z) in *. assert (B : IZR (n + 1 - m) <= IZR (1000000 * e)) by (apply IZR_le; lia).
  rewrite mult_IZR, minus_IZR, plus_IZR in B. lra.
Qed.

(** However long the token and the row were on their way: what went by on the origin's clock since the row was
    published, at any time after the issue, is less than the age. *)
Theorem an_age_is_never_below_the_truth : forall published, issue <= published <= now ->
  origin now - origin published < Q2R (drifted seconds drift).
Proof using bounded issuer_keeps origin_keeps read_at_issue read_now issued_before.
  intros published (P1 & P2). pose proof the_issuer_counts_enough as E.
  destruct (issuer_keeps issue now issued_before) as (I & _).
  destruct (origin_keeps published now P2) as (_ & O).
  rewrite drifted_is_exact by exact bounded. fold by_drift. set (d := Q2R seconds) in *.
  apply Rmult_lt_reg_r with (1 - by_drift); [lra|].
  replace (d * (1 + by_drift) / (1 - by_drift) * (1 - by_drift)) with (d * (1 + by_drift)) by (field; lra).
  assert ((1 - by_drift) * (now - published) < d) by nra. nra.
Qed.

(** Readings are whole nanoseconds, so a difference of two may be a part of one more. *)
Theorem readings_exceed_an_age_by_less_than_a_nanosecond : forall s t p q, issue <= s -> s <= t <= now ->
  reads origin s p -> reads origin t q -> IZR (q - p) < Q2R (drifted seconds drift) * 10 ^ 9 + 1.
Proof using bounded issuer_keeps origin_keeps read_at_issue read_now issued_before.
  intros s t p q S T (P1 & P2) (Q1 & Q2).
  pose proof (an_age_is_never_below_the_truth s ltac:(lra)) as A.
  destruct (origin_keeps t now ltac:(lra)) as (O & _).
  assert (0 <= (1 - by_drift) * (now - t)) by (apply Rmult_le_pos; lra).
  rewrite minus_IZR. lra.
Qed.

(** So they lie within [age_bound], which counts it. *)
Corollary readings_lie_within_the_bound : forall s t p q, issue <= s -> s <= t <= now ->
  reads origin s p -> reads origin t q -> IZR (q - p) < Q2R (age_bound seconds drift) * 10 ^ 9.
Proof using bounded issuer_keeps origin_keeps read_at_issue read_now issued_before.
  intros s t p q S T P Q. rewrite age_bound_is_exact.
  pose proof (readings_exceed_an_age_by_less_than_a_nanosecond s t p q S T P Q). lra.
Qed.

(** An age says no more than the true time since the issue, but for drift and the three roundings. *)
Theorem an_age_is_not_far_above_the_truth : Q2R (age_bound seconds drift)
  <= ((1 + by_drift) * (now - issue) + / 500) * ((1 + by_drift) / (1 - by_drift)) + / 10 ^ 9.
Proof using bounded issuer_keeps read_at_issue read_now issued_before.
  rewrite age_bound_is_exact. apply Rplus_le_compat_r.
  rewrite drifted_is_exact by exact bounded. fold by_drift. unfold Rdiv. rewrite Rmult_assoc.
  apply Rmult_le_compat_r.
  { apply Rmult_le_pos; [lra|]. left; apply Rinv_0_lt_compat; lra. }
  destruct (milliseconds_are_near started m n) as (_ & A).
  destruct read_at_issue as (M1 & M2), read_now as (N1 & N2).
  destruct (issuer_keeps issue now issued_before) as (_ & I).
  unfold seconds, echo_age, Q2R. cbn [Qnum Qden]. set (e := (_ + 1 - _)%Z) in *.
  assert (B : IZR (1000000 * e) <= IZR (n - m + 2000000 - 1)) by (apply IZR_le; lia).
  rewrite mult_IZR, !minus_IZR, plus_IZR, minus_IZR in B. lra.
Qed.
End Echo.

(** The nanosecond is needed: two clocks that use up a drift of 200 parts per million, and readings of the
    origin that are further apart than the age. *)
Definition drift_200 : Q := 200 # 1000000.
Definition slow : Clock := fun t => (1 - 200 / 1000000) * t.
Definition fast : Clock := fun t => (1 + 200 / 1000000) * t + 95 / 100 / 10 ^ 9.

Example readings_may_be_further_apart_than_the_age :
  keeps (Q2R drift_200) slow /\ keeps (Q2R drift_200) fast
  /\ exists now, 0 <= now /\ reads slow 0 0 /\ reads slow now 999999
     /\ reads fast 0 0 /\ reads fast now 1000401
     /\ Q2R (drifted (seconds 0 0 999999) drift_200) * 10 ^ 9 < 1000401.
Proof.
  split; [|split].
  - intros s t L; unfold slow, drift_200, Q2R; simpl; nra.
  - intros s t L; unfold fast, drift_200, Q2R; simpl; nra.
  - exists (99999999 / 99980000000).
    unfold reads, slow, fast. repeat split; try lra.
    rewrite drifted_is_exact by (unfold drift_200, Q2R; simpl; lra).
    unfold drift_200, seconds, echo_age, milliseconds, Q2R.
    replace ((999999 - 0) / 1000000 + 1 - (0 - 0) / 1000000)%Z with 1%Z by reflexivity.
    simpl; lra.
Qed.
