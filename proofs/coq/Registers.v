(** Registers of HyperLogLog.

    Models [Distinct] of convergence_jax/statistics/distinct.py: [_leading_zeros] by halving, [_split],
    [empty], [lift] and [merge]. Proves that the halving counts leading zeros, that a run fits its byte, that
    the merge is an idempotent commutative monoid, that a state is a function of the set of hashes, and that
    every register holds the longest run of its hashes. The estimate is not modelled. *)
From Coq Require Import ZArith List Lia.
From Convergence Require Import Constants Semilattices.
Import ListNotations.
Open Scope Z_scope.

Definition HASH_BITS : Z := 64.
Definition is_hash (x : Z) : Prop := 0 <= x < 2 ^ HASH_BITS.
Definition wrap_hash (x : Z) : Z := x mod 2 ^ HASH_BITS.

(** ** Leading zeros *)

(** One halving of [_leading_zeros]: zeros so far, and what is left. *)
Definition halve (width : Z) (state : Z * Z) : Z * Z :=
  let (zeros, x) := state in
  if Z.shiftr x (HASH_BITS - width) =? 0 then (zeros + width, wrap_hash (Z.shiftl x width)) else (zeros, x).

(** [_leading_zeros] *)
Definition leading_zeros (x : Z) : Z :=
  fst (fold_left (fun state width => halve width state) [32; 16; 8; 4; 2; 1] (0, x)).

Lemma halve_step (width zeros x : Z) :
  0 < width -> 2 * width <= HASH_BITS -> 0 < x < 2 ^ HASH_BITS -> HASH_BITS - 2 * width <= Z.log2 x ->
  let (zeros', x') := halve width (zeros, x) in
  0 < x' < 2 ^ HASH_BITS /\ HASH_BITS - width <= Z.log2 x' /\ zeros' - Z.log2 x' = zeros - Z.log2 x.
Proof.
  intros Hwidth Hhalf Hx Hlog. unfold halve.
  assert (Z.log2 x < HASH_BITS) as Htop by (apply Z.log2_lt_pow2; lia).
  rewrite Z.shiftr_div_pow2, Z.shiftl_mul_pow2 by lia.
  destruct (Z.eqb_spec (x / 2 ^ (HASH_BITS - width)) 0) as [Hempty | Hsome].
  - apply Z.div_small_iff in Hempty; [|apply Z.pow_nonzero; lia].
    destruct Hempty as [Hempty | Hempty]; [|lia].
    assert (0 < 2 ^ width) as Hpower by (apply Z.pow_pos_nonneg; lia).
    assert (x * 2 ^ width < 2 ^ HASH_BITS) as Hfits.
    { replace HASH_BITS with (HASH_BITS - width + width) by ring. rewrite Z.pow_add_r by lia.
      apply Z.mul_lt_mono_pos_r; lia. }
    unfold wrap_hash. rewrite Z.mod_small by nia. rewrite Z.log2_mul_pow2 by lia.
    split; [nia|lia].
  - split; [assumption|]. split; [|reflexivity].
    apply Z.log2_le_pow2; [lia|]. apply Z.nlt_ge. intros H. apply Hsome. apply Z.div_small. lia.
Qed.

Theorem halving_counts_leading_zeros (x : Z) :
  0 < x < 2 ^ HASH_BITS -> leading_zeros x = HASH_BITS - 1 - Z.log2 x.
Proof.
  intros Hx. unfold leading_zeros. cbn [fold_left].
  assert (0 <= Z.log2 x) as Hlog by apply Z.log2_nonneg.
  pose proof (halve_step 32 0 x) as H1. destruct (halve 32 (0, x)) as [z1 x1].
  destruct H1 as (B1 & L1 & E1); [easy|easy|assumption|exact Hlog|].
  pose proof (halve_step 16 z1 x1) as H2. destruct (halve 16 (z1, x1)) as [z2 x2].
  destruct H2 as (B2 & L2 & E2); [easy|easy|assumption|exact L1|].
  pose proof (halve_step 8 z2 x2) as H3. destruct (halve 8 (z2, x2)) as [z3 x3].
  destruct H3 as (B3 & L3 & E3); [easy|easy|assumption|exact L2|].
  pose proof (halve_step 4 z3 x3) as H4. destruct (halve 4 (z3, x3)) as [z4 x4].
  destruct H4 as (B4 & L4 & E4); [easy|easy|assumption|exact L3|].
  pose proof (halve_step 2 z4 x4) as H5. destruct (halve 2 (z4, x4)) as [z5 x5].
  destruct H5 as (B5 & L5 & E5); [easy|easy|assumption|exact L4|].
  pose proof (halve_step 1 z5 x5) as H6. destruct (halve 1 (z5, x5)) as [z6 x6].
  destruct H6 as (B6 & L6 & E6); [easy|easy|assumption|exact L5|].
  cbn [fst]. assert (Z.log2 x6 < HASH_BITS) by (apply Z.log2_lt_pow2; lia). lia.
Qed.

(** ** The merge *)

(** [Distinct.merge] *)
Definition merge_registers (a b : list Z) : list Z :=
  map (fun both => Z.max (fst both) (snd both)) (combine a b).

Lemma nth_of_merge (a b : list Z) (k : nat) :
  length a = length b -> nth k (merge_registers a b) 0 = Z.max (nth k a 0) (nth k b 0).
Proof.
  intros H. unfold merge_registers. set (larger := fun both : Z * Z => Z.max (fst both) (snd both)).
  change (nth k (map larger (combine a b)) (larger (0, 0)) = Z.max (nth k a 0) (nth k b 0)).
  rewrite (map_nth larger), combine_nth by assumption. reflexivity.
Qed.

Lemma length_of_merge (a b : list Z) : length a = length b -> length (merge_registers a b) = length a.
Proof. intros H. unfold merge_registers. rewrite map_length, combine_length. lia. Qed.

Lemma same_table (a b : list Z) :
  length a = length b -> (forall k, nth k a 0 = nth k b 0) -> a = b.
Proof. intros Hlength H. apply nth_ext with 0 0; [assumption|]. intros k _. apply H. Qed.

Theorem registers_are_idempotent a : merge_registers a a = a.
Proof.
  apply same_table; [now apply length_of_merge|]. intros k. rewrite nth_of_merge by reflexivity. lia.
Qed.

Lemma nth_of_zeros (k n : nat) : nth k (repeat 0 n) 0 = 0.
Proof. revert k. induction n; intros [|k]; cbn; auto. Qed.

Lemma longest_is_not_negative (l : list Z) : 0 <= fold_right Z.max 0 l.
Proof. induction l as [|r rest IH]; cbn [fold_right]; lia. Qed.

(** ** A hash *)
Section Registers.
Set Default Proof Using "Type".
Variable index_bits : nat.
Hypothesis few_or_many : (4 <= index_bits <= 18)%nat.
Let width := Z.of_nat index_bits.
Definition registers : nat := Nat.pow 2 index_bits.

(** [_split]: the register of a hash, and its run of zeros plus one *)
Definition register_of (x : Z) : Z := Z.shiftr x (HASH_BITS - width).
Definition run_of (x : Z) : Z :=
  leading_zeros (Z.lor (wrap_hash (Z.shiftl x width)) (2 ^ (width - 1))) + 1.

Theorem runs_are_at_most_the_bits_left (x : Z) :
  is_hash x -> 1 <= run_of x <= HASH_BITS - width + 1.
Proof using few_or_many.
  intros Hx. unfold run_of, wrap_hash. set (rest := Z.lor _ _).
  assert (4 <= width <= 18) as Hwidth by (unfold width; lia).
  assert (0 <= (Z.shiftl x width) mod 2 ^ HASH_BITS < 2 ^ HASH_BITS) as Hshifted by now apply Z.mod_pos_bound.
  assert (0 < 2 ^ (width - 1)) as Hone by (apply Z.pow_pos_nonneg; lia).
  assert (width - 1 <= Z.log2 rest < HASH_BITS) as Hlog.
  { unfold rest. rewrite Z.log2_lor by lia. rewrite Z.log2_pow2 by lia. split; [lia|].
    apply Z.max_lub_lt; [|unfold HASH_BITS; lia].
    destruct (Z.eq_dec ((Z.shiftl x width) mod 2 ^ HASH_BITS) 0) as [-> | Hsome]; [easy|].
    apply Z.log2_lt_pow2; lia. }
  assert (0 < rest) as Hpositive.
  { apply Z.nle_gt. intros H. rewrite Z.log2_nonpos in Hlog by assumption. lia. }
  rewrite halving_counts_leading_zeros; [lia|].
  split; [assumption|]. apply Z.log2_lt_pow2; [assumption|lia].
Qed.

Theorem registers_are_in_the_table (x : Z) : is_hash x -> 0 <= register_of x < Z.of_nat registers.
Proof using few_or_many.
  intros Hx. unfold register_of, registers, is_hash in *. rewrite Z.shiftr_div_pow2 by
    (unfold width, HASH_BITS; lia).
  rewrite Nat2Z.inj_pow. fold width. change (Z.of_nat 2) with 2.
  assert (4 <= width <= 18) as Hwidth by (unfold width; lia). split.
  - apply Z.div_pos; [lia|]. apply Z.pow_pos_nonneg; [easy|unfold HASH_BITS; lia].
  - apply Z.div_lt_upper_bound; [apply Z.pow_pos_nonneg; [easy|unfold HASH_BITS; lia]|].
    rewrite <- Z.pow_add_r by (unfold HASH_BITS; lia). now replace (HASH_BITS - width + width) with HASH_BITS
      by ring.
Qed.

(** ** States *)

(** [Distinct.empty] and [Distinct.lift] *)
Definition no_registers : list Z := repeat 0 registers.
Definition registers_of (x : Z) : list Z :=
  map (fun k => if register_of x =? Z.of_nat k then run_of x else 0) (seq 0 registers).
(** Bytes, in the declared number. *)
Definition is_table (a : list Z) : Prop := length a = registers /\ Forall (fun r => 0 <= r < 2 ^ 8) a.

Lemma merge_is_a_table a b : is_table a -> is_table b -> is_table (merge_registers a b).
Proof using few_or_many.
  intros [La Fa] [Lb Fb]. split; [rewrite length_of_merge; congruence|].
  apply Forall_forall. intros r Hr. unfold merge_registers in Hr. apply in_map_iff in Hr as
    ([x y] & <- & Hin).
  cbn [fst snd]. apply in_combine_l in Hin as Hx. apply in_combine_r in Hin as Hy.
  apply (proj1 (Forall_forall _ _) Fa) in Hx. apply (proj1 (Forall_forall _ _) Fb) in Hy. lia.
Qed.

Theorem registers_are_associative a b c :
  is_table a -> is_table b -> is_table c ->
  merge_registers a (merge_registers b c) = merge_registers (merge_registers a b) c.
Proof using few_or_many.
  intros [La _] [Lb _] [Lc _]. apply same_table.
  - rewrite !length_of_merge by (rewrite ?length_of_merge; congruence). reflexivity.
  - intros k. rewrite !nth_of_merge by (rewrite ?length_of_merge; congruence). lia.
Qed.

Theorem registers_are_commutative a b :
  is_table a -> is_table b -> merge_registers a b = merge_registers b a.
Proof using few_or_many.
  intros [La _] [Lb _]. apply same_table.
  - rewrite !length_of_merge by congruence. congruence.
  - intros k. rewrite !nth_of_merge by congruence. lia.
Qed.

Lemma nth_is_not_negative a k : is_table a -> 0 <= nth k a 0.
Proof using few_or_many.
  intros [_ Ha]. destruct (Nat.lt_ge_cases k (length a)).
  - apply (proj1 (Forall_forall _ _) Ha (nth k a 0)). now apply nth_In.
  - rewrite nth_overflow by assumption. lia.
Qed.

Theorem no_registers_is_the_identity a : is_table a -> merge_registers no_registers a = a.
Proof using few_or_many.
  intros Ha. pose proof Ha as [La _]. unfold no_registers. apply same_table.
  - rewrite length_of_merge; rewrite repeat_length; congruence.
  - intros k. rewrite nth_of_merge by (rewrite repeat_length; congruence). rewrite nth_of_zeros.
    pose proof (nth_is_not_negative a k Ha). lia.
Qed.

Lemma no_registers_is_a_table : is_table no_registers.
Proof using few_or_many.
  split; [apply repeat_length|]. apply Forall_forall. intros r Hr. apply repeat_spec in Hr. lia.
Qed.

Lemma registers_of_is_a_table x : is_hash x -> is_table (registers_of x).
Proof using few_or_many.
  intros Hx. split; [unfold registers_of; now rewrite map_length, seq_length|].
  apply Forall_map, Forall_forall. intros k _. pose proof (runs_are_at_most_the_bits_left x Hx).
  unfold width, HASH_BITS in *. destruct (register_of x =? Z.of_nat k); lia.
Qed.

Theorem registers_depend_on_the_set_alone (t u : tree (list Z)) :
  Forall is_table (leaves t) -> (forall s, In s (leaves t) <-> In s (leaves u)) ->
  reduce merge_registers t = reduce merge_registers u.
Proof using few_or_many.
  apply same_set_same_state with (empty := no_registers).
  - exact no_registers_is_a_table.
  - exact merge_is_a_table.
  - exact registers_are_associative.
  - exact registers_are_commutative.
  - intros a _. apply registers_are_idempotent.
  - exact no_registers_is_the_identity.
Qed.

(** What each register holds: the longest run of the hashes that fall into it, and zero if none does. *)
Theorem a_register_holds_the_longest_run (hashes : list Z) (k : nat) :
  Forall is_hash hashes -> (k < registers)%nat ->
  nth k (gather merge_registers no_registers (map registers_of hashes)) 0
  = fold_right Z.max 0 (map run_of (filter (fun x => register_of x =? Z.of_nat k) hashes)).
Proof using few_or_many.
  intros Hhashes Hk.
  induction Hhashes as [|x rest Hx Hrest IH]; cbn [map gather fold_right filter].
  - apply nth_of_zeros.
  - fold (gather merge_registers no_registers (map registers_of rest)).
    assert (is_table (gather merge_registers no_registers (map registers_of rest))) as [Hlength _].
    { apply (gather_is_valid _ is_table); [exact no_registers_is_a_table|exact merge_is_a_table|].
      apply Forall_map. eapply Forall_impl; [|exact Hrest]. exact registers_of_is_a_table. }
    pose proof (runs_are_at_most_the_bits_left x Hx) as Hrun.
    rewrite nth_of_merge by (unfold registers_of; rewrite map_length, seq_length; symmetry; exact Hlength).
    rewrite IH. unfold registers_of.
    set (one := fun k => if register_of x =? Z.of_nat k then run_of x else 0).
    rewrite (nth_indep _ 0 (one 0%nat)) by now rewrite map_length, seq_length.
    rewrite (map_nth one), seq_nth by assumption. unfold one. cbn [Nat.add].
    destruct (register_of x =? Z.of_nat k); [reflexivity|].
    cbn [fold_right map]. set (runs := map run_of _). pose proof (longest_is_not_negative runs). lia.
Qed.
End Registers.
