(** Token buckets in whole grains: how much a node can have released in a window of its own readings.

    Models [_Meter], [TokenBucket] and [AgentBuckets] of [convergence_jax/partition/writes/token_bucket.py],
    and [Backlog.fill], which starts an empty bucket when the node starts or its caps change.

    Proved, for any requests, readings that go back, restarts and changes of caps: what is taken between two
    readings is at most burst + rate * time, by the largest burst and rate of any cap that was kept to; and to
    forget the bucket of an agent that is full again changes nothing. *)
From Coq Require Import ZArith QArith Qreals Reals List Bool Lia Lra.
Import ListNotations.
Open Scope Z_scope.
Set Default Proof Using "Type".

(** ** What the code computes *)

(** [_Meter]: one event is so many grains, each nanosecond adds [gain], a bucket holds at most [size]. *)
Record Meter := meter { event : Z; gain : Z; size : Z }.

(** [_Meter.__init__]; fractions in Python are in lowest terms. *)
Definition meter_of (rate burst : Q) : Meter :=
  let gain := Qred (rate / inject_Z (10 ^ 9)) in
  let size := Qred burst in
  meter (Zpos (Qden gain * Qden size)) (Qnum gain * Zpos (Qden size)) (Qnum size * Zpos (Qden gain)).

(** The grains in a bucket. *)
Definition grains (m : Meter) (zero now : Z) : Z := Z.max 0 (Z.min (size m) (gain m * now - zero)).

(** [_Meter.whole] *)
Definition whole (m : Meter) (zero now : Z) : Z := grains m zero now / event m.

(** [_Meter.after] *)
Definition after (m : Meter) (zero now events : Z) : Z :=
  Z.max zero (gain m * now - size m) + events * event m.

Record Bucket := bucket { cap : Meter; zero : Z; clock : Z }.

(** [TokenBucket.__init__] *)
Definition started (m : Meter) (now : Z) : Bucket := bucket m (gain m * now) now.

(** [TokenBucket.available] *)
Definition available (b : Bucket) (now : Z) : Z :=
  if now <? clock b then 0 else whole (cap b) (zero b) now.

(** [TokenBucket.take]: what is granted, and the bucket afterwards. *)
Definition granted (b : Bucket) (wanted now : Z) : Z := Z.min wanted (available b now).

Definition taken (b : Bucket) (wanted now : Z) : Bucket :=
  let events := granted b wanted now in
  bucket (cap b) (if events =? 0 then zero b else after (cap b) (zero b) now events) (Z.max (clock b) now).

(** ** Grains *)

Definition proper (m : Meter) : Prop := 0 < event m /\ 0 <= gain m /\ 0 <= size m.

Lemma meters_are_proper : forall rate burst, (0 <= rate)%Q -> (0 <= burst)%Q -> proper (meter_of rate burst).
Proof.
  intros rate burst R B; unfold proper, meter_of; cbn [event gain size].
  assert (N : forall q, (0 <= q)%Q -> 0 <= Qnum (Qred q)).
  { intros q H. assert (H' : (0 <= Qred q)%Q) by (rewrite Qred_correct; exact H).
    unfold Qle in H'; simpl in H'; lia. }
  assert (0 <= Qnum (Qred (rate / inject_Z (10 ^ 9))))
    by (apply N, Qle_shift_div_l; [reflexivity|rewrite Qmult_0_l; exact R]).
  pose proof (N burst B). split; [lia|]. split; apply Z.mul_nonneg_nonneg; lia.
Qed.

Lemma grains_grow_by_the_gain : forall m zero s t, proper m -> s <= t ->
  grains m zero t <= grains m zero s + gain m * (t - s).
Proof.
  intros m zero s t (_ & G & _) L; unfold grains.
  assert (0 <= gain m * (t - s)) by (apply Z.mul_nonneg_nonneg; lia).
  replace (gain m * t - zero) with (gain m * s - zero + gain m * (t - s)) by ring. lia.
Qed.

Lemma grains_are_never_more_than_the_size : forall m zero t, proper m -> 0 <= grains m zero t <= size m.
Proof. intros m zero t (_ & _ & S); unfold grains; lia. Qed.

Lemma what_is_granted_leaves_the_bucket : forall b wanted now, proper (cap b) -> 0 <= wanted ->
  clock b <= now -> 0 <= granted b wanted now /\
  grains (cap b) (zero (taken b wanted now)) now + granted b wanted now * event (cap b)
  = grains (cap b) (zero b) now.
Proof.
  intros b wanted now (E & G & S) W L.
  assert (0 <= available b now /\ available b now * event (cap b) <= grains (cap b) (zero b) now)
    as (A1 & A2).
  { unfold available, whole. destruct (Z.ltb_spec now (clock b)); [lia|].
    pose proof (grains_are_never_more_than_the_size (cap b) (zero b) now ltac:(split; auto)).
    split; [apply Z.div_pos; lia|]. rewrite Z.mul_comm. apply Z.mul_div_le; lia. }
  unfold taken, granted in *; simpl. set (k := Z.min wanted (available b now)).
  assert (0 <= k <= available b now) as K by lia. split; [lia|].
  destruct (Z.eqb_spec k 0) as [->|N]; [lia|].
  assert (k * event (cap b) <= grains (cap b) (zero b) now) as Q
    by (eapply Z.le_trans; [|exact A2]; apply Z.mul_le_mono_nonneg_r; lia).
  assert (0 < k * event (cap b)) by (apply Z.mul_pos_pos; lia).
  unfold grains, after in *. lia.
Qed.

(** ** Whole runs *)

Inductive Action :=
  | Take (wanted now : Z)
  | Fill (m : Meter) (now : Z).  (** A restart, or other caps: the bucket is empty. *)

Definition act (b : Bucket) (a : Action) : Bucket :=
  match a with Take wanted now => taken b wanted now | Fill m now => started m now end.

Definition gives (b : Bucket) (a : Action) : Z :=
  match a with Take wanted now => granted b wanted now | Fill _ _ => 0 end.

Fixpoint total (b : Bucket) (actions : list Action) : Z :=
  match actions with [] => 0 | a :: rest => gives b a + total (act b a) rest end.

Definition reading (a : Action) : Z := match a with Take _ now | Fill _ now => now end.

Section Window.
(** What a reader counts on: at least every cap that is kept to. *)
Variables rate burst : R.

Definition within (m : Meter) : Prop := proper m
  /\ (IZR (gain m) / IZR (event m) <= rate / 10 ^ 9)%R /\ (IZR (size m) / IZR (event m) <= burst)%R.

(** Requests are not negative; a bucket starts no earlier than the last reading of the one before it. *)
Fixpoint orderly (b : Bucket) (actions : list Action) : Prop :=
  match actions with
  | [] => True
  | a :: rest => match a with Take wanted _ => 0 <= wanted | Fill m now => within m /\ clock b <= now end
                 /\ orderly (act b a) rest
  end.

Definition events_in (b : Bucket) (now : Z) : R :=
  (IZR (grains (cap b) (zero b) now) / IZR (event (cap b)))%R.

Lemma events_grow_by_the_rate : forall b s t, within (cap b) -> s <= t ->
  (events_in b t <= events_in b s + rate / 10 ^ 9 * IZR (t - s))%R.
Proof.
  intros b s t (P & G & _) L. unfold events_in.
  pose proof (grains_grow_by_the_gain (cap b) (zero b) s t P L) as X. apply IZR_le in X.
  rewrite plus_IZR, mult_IZR in X. destruct P as (E & _). apply (IZR_lt 0) in E.
  assert (0 <= IZR (t - s))%R by (apply IZR_le; lia).
  assert (IZR (gain (cap b)) / IZR (event (cap b)) * IZR (t - s) <= rate / 10 ^ 9 * IZR (t - s))%R
    by (apply Rmult_le_compat_r; auto).
  assert (0 < / IZR (event (cap b)))%R by (apply Rinv_0_lt_compat; auto).
  assert (IZR (grains (cap b) (zero b) t) * / IZR (event (cap b))
    <= (IZR (grains (cap b) (zero b) s) + IZR (gain (cap b)) * IZR (t - s)) * / IZR (event (cap b)))%R
    by (apply Rmult_le_compat_r; lra).
  unfold Rdiv in *. nra.
Qed.

Lemma events_are_bounded : forall b t, within (cap b) -> (0 <= events_in b t <= burst)%R.
Proof.
  intros b t (P & _ & S). unfold events_in.
  destruct (grains_are_never_more_than_the_size (cap b) (zero b) t P) as (X & Y).
  apply (IZR_le 0) in X. apply IZR_le in Y. destruct P as (E & _). apply (IZR_lt 0) in E.
  assert (0 < / IZR (event (cap b)))%R by (apply Rinv_0_lt_compat; auto). unfold Rdiv in *. split; [nra|].
  eapply Rle_trans; [|exact S]. apply Rmult_le_compat_r; lra.
Qed.

(** What was given, and what is in the bucket, is at most what was in it and what the time adds. *)
Lemma one_action : forall b a s, within (cap b) -> orderly b [a] -> s <= reading a -> (0 <= rate)%R ->
  within (cap (act b a)) /\ clock b <= clock (act b a) /\
  (IZR (gives b a) + events_in (act b a) (Z.max s (clock (act b a)))
   <= events_in b (Z.max s (clock b))
      + rate / 10 ^ 9 * IZR (Z.max s (clock (act b a)) - Z.max s (clock b)))%R.
Proof.
  intros b a s W (O & _) L R. destruct a as [wanted now|m now]; simpl in *.
  - split; [exact W|]. split; [lia|].
    destruct (Z.lt_ge_cases now (clock b)) as [B|B].
    + assert (granted b wanted now = 0) as Z0.
      { unfold granted, available. destruct (Z.ltb_spec now (clock b)); lia. }
      unfold events_in, taken; simpl. rewrite Z0; simpl. replace (Z.max (clock b) now) with (clock b) by lia.
      rewrite Z.sub_diag. lra.
    + replace (Z.max s (Z.max (clock b) now)) with now by lia.
      pose proof (events_grow_by_the_rate b (Z.max s (clock b)) now W ltac:(lia)) as G.
      destruct (what_is_granted_leaves_the_bucket b wanted now (proj1 W) O B) as (_ & T).
      eapply Rle_trans; [|exact G]. unfold events_in at 1 2. simpl cap.
      apply (f_equal IZR) in T. rewrite plus_IZR, mult_IZR in T.
      destruct W as ((E & _) & _). apply (IZR_lt 0) in E. rewrite <- T. right. field. lra.
  - destruct O as (M & C). split; [exact M|]. split; [lia|].
    replace (Z.max s now) with now by lia. unfold events_in at 1; simpl. unfold grains.
    replace (gain m * now - gain m * now) with 0 by ring. destruct M as ((E & G & S) & _).
    replace (Z.max 0 (Z.min (size m) 0)) with 0 by lia.
    destruct (events_are_bounded b (Z.max s (clock b)) W) as (H & _).
    assert (0 <= IZR (now - Z.max s (clock b)))%R by (apply IZR_le; lia).
    assert (0 <= rate / 10 ^ 9 * IZR (now - Z.max s (clock b)))%R
      by (apply Rmult_le_pos; auto; unfold Rdiv; nra).
    unfold Rdiv at 1. rewrite Rmult_0_l. lra.
Qed.

Lemma all_actions : forall actions b s, within (cap b) -> orderly b actions -> (0 <= rate)%R ->
  (forall a, In a actions -> s <= reading a) ->
  let last := fold_left act actions b in
  within (cap last) /\
  (IZR (total b actions) + events_in last (Z.max s (clock last))
   <= events_in b (Z.max s (clock b)) + rate / 10 ^ 9 * IZR (Z.max s (clock last) - Z.max s (clock b)))%R.
Proof.
  induction actions as [|a rest IH]; intros b s W O R L; simpl.
  - split; auto. rewrite Z.sub_diag. lra.
  - destruct O as (O & O'). destruct (one_action b a s) as (W' & C & X); simpl; auto with datatypes.
    destruct (IH (act b a) s W' O' R) as (W'' & Y); auto with datatypes. split; auto.
    rewrite plus_IZR. rewrite minus_IZR in *. lra.
Qed.

Lemma clocks_end_at_the_last_reading : forall actions b n, orderly b actions -> clock b <= n ->
  (forall a, In a actions -> reading a <= n) -> clock (fold_left act actions b) <= n.
Proof.
  induction actions as [|a rest IH]; intros b n O C L; simpl; auto.
  destruct O as (O & O'). apply IH; auto with datatypes. pose proof (L a (or_introl eq_refl)).
  destruct a; simpl in *; lia.
Qed.

(** [TokenBucket]: no window has more than the cap, over any number of restarts and changes of caps. *)
Theorem no_window_has_more_than_the_cap : forall actions b s t, within (cap b) -> orderly b actions ->
  (0 <= rate)%R -> clock b <= t -> (forall a, In a actions -> s <= reading a <= t) -> s <= t ->
  (IZR (total b actions) <= burst + rate / 10 ^ 9 * IZR (t - s))%R.
Proof.
  intros actions b s t W O R C L S.
  destruct (all_actions actions b s W O R) as (W' & X); [intros a I; apply L; auto|].
  set (last := fold_left act actions b) in *.
  assert (clock last <= t) by (apply clocks_end_at_the_last_reading; auto; intros a I; apply L; auto).
  destruct (events_are_bounded last (Z.max s (clock last)) W') as (E & _).
  destruct (events_are_bounded b (Z.max s (clock b)) W) as (_ & B).
  assert (IZR (Z.max s (clock last) - Z.max s (clock b)) <= IZR (t - s))%R by (apply IZR_le; lia).
  assert (0 <= rate / 10 ^ 9)%R by (unfold Rdiv; nra).
  assert (rate / 10 ^ 9 * IZR (Z.max s (clock last) - Z.max s (clock b)) <= rate / 10 ^ 9 * IZR (t - s))%R
    by (apply Rmult_le_compat_l; auto).
  lra.
Qed.
End Window.

(** The meter of a cap keeps to that cap exactly, and so to every higher one. *)
Theorem a_meter_is_within_higher_caps : forall rate burst rate' burst',
  (0 <= rate <= rate')%Q -> (0 <= burst <= burst')%Q -> within (Q2R rate') (Q2R burst') (meter_of rate burst).
Proof.
  intros rate burst rate' burst' (R0 & R) (B0 & B).
  split; [apply meters_are_proper; auto|]. unfold meter_of; cbn [event gain size].
  assert (D : forall p, IZR (Zpos p) <> 0%R) by (intros p; apply IZR_neq; lia).
  rewrite Pos2Z.inj_mul, !mult_IZR.
  apply Qle_Rle in R, B.
  assert (G : (Q2R (Qred (rate / inject_Z (10 ^ 9))) = Q2R rate / 10 ^ 9)%R).
  { rewrite (Qeq_eqR _ _ (Qred_correct _)), Q2R_div by (intros X; discriminate).
    f_equal. unfold Q2R; simpl. lra. }
  pose proof (Qeq_eqR _ _ (Qred_correct burst)) as S. unfold Q2R at 1 in G; unfold Q2R at 1 in S.
  set (g := Qred (rate / inject_Z (10 ^ 9))) in *. set (s := Qred burst) in *.
  pose proof (D (Qden g)). pose proof (D (Qden s)). split.
  - replace (_ / _)%R with (IZR (Qnum g) * / IZR (Zpos (Qden g)))%R by (field; auto). rewrite G. lra.
  - replace (_ / _)%R with (IZR (Qnum s) * / IZR (Zpos (Qden s)))%R by (field; auto). rewrite S. exact B.
Qed.

(** ** One bucket an agent: [AgentBuckets.forget] *)

(** A bucket that was never used, [empty], holds no less than one that was; both are alike when full. *)
Theorem forgetting_a_full_bucket_changes_nothing : forall m empty zero now later events, proper m ->
  empty <= zero -> zero <= gain m * now - size m -> now <= later ->
  whole m empty later = whole m zero later /\ after m empty later events = after m zero later events.
Proof.
  intros m empty zero now later events (E & G & S) L F T.
  assert (gain m * now <= gain m * later) by (apply Z.mul_le_mono_nonneg_l; auto).
  unfold whole, after, grains. split; f_equal; lia.
Qed.

(** A bucket is never below the one that was never used. *)
Lemma zero_never_falls : forall m zero now events, proper m -> 0 <= events -> zero <= after m zero now events.
Proof.
  intros m zero now events (E & _) K; unfold after.
  assert (0 <= events * event m) by (apply Z.mul_nonneg_nonneg; lia). lia.
Qed.
