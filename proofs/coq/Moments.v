(** Moments as integers: counts, sums of ticks and sums of their products, in digits.

    Models [Moments] of convergence_jax/statistics/moments.py ([empty], [from_ticks], [merge], [remove]) and
    the numerator that [_any] of statistics/covariance.py makes of a state. Counts of faults are left out.

    Proves that a state is a function of the observations held, whatever the tree and order of the merges;
    that removing undoes merging; and the budget of digits: for fewer than [2^COUNT_BITS] observations within
    the declared range every sum, sum of products and numerator fits, so that the digits say the integers. *)
From Coq Require Import ZArith List Lia Permutation Reals.
From Convergence Require Import Constants SignedDigits Products Spread.
Import ListNotations.
Open Scope Z_scope.

(** [COUNT_BITS] of moments.py, which is no constant of constants.py. *)
Definition COUNT_BITS : Z := 32.

(** [Moments.sum_digits], [Moments.product_digits] *)
Definition sum_digits (wide : bool) : nat := if wide then 4 else 2.
Definition product_digits (wide : bool) : nat := if wide then 8 else 4.

(** Ticks of every feature are below [2^tick_bits] in magnitude: [Moments.wide] says which. *)
Definition tick_bits (wide : bool) : Z := if wide then WIDE_BITS else NARROW_BITS.

(** ** States *)

(** [MomentsState], without faults *)
Record state := State { count : Z; sums : list (list Z); products : list (list Z) }.

(** [add] and [subtract] of exact/digits.py *)
Definition add_digits (a b : list Z) : list Z := residue (length a) (value a + value b).
Definition subtract_digits (a b : list Z) : list Z := residue (length a) (value a - value b).

Definition pointwise (op : list Z -> list Z -> list Z) (a b : list (list Z)) : list (list Z) :=
  map (fun both => op (fst both) (snd both)) (combine a b).

(** [Moments.pairs]: the upper triangle by rows *)
Definition pairs (features : nat) : list (nat * nat) :=
  flat_map (fun i => map (fun j => (i, j)) (seq i (features - i))) (seq 0 features).

(** [Moments.empty] *)
Definition empty (wide : bool) (features : nat) : state :=
  State 0 (repeat (repeat 0 (sum_digits wide)) features)
    (repeat (repeat 0 (product_digits wide)) (length (pairs features))).

(** Tick of one feature. *)
Definition tick (i : nat) (ticks : list Z) : Z := nth i ticks 0.

(** [Moments.ticks] and [Moments.from_ticks]: one observation; [held] says whether every feature is. *)
Definition from_ticks (wide : bool) (features : nat) (held : bool) (ticks : list Z) : state :=
  let kept := if held then ticks else repeat 0 features in
  State (if held then 1 else 0)
    (map (fun i => from_int64 (tick i kept) (sum_digits wide)) (seq 0 features))
    (map (fun pair => multiply_ticks (tick (fst pair) kept) (tick (snd pair) kept) wide) (pairs features)).

(** [Moments.merge] and [Moments.remove] *)
Definition merge (a b : state) : state :=
  State (count a + count b) (pointwise add_digits (sums a) (sums b))
    (pointwise add_digits (products a) (products b)).
Definition remove (a b : state) : state :=
  State (count a - count b) (pointwise subtract_digits (sums a) (sums b))
    (pointwise subtract_digits (products a) (products b)).

(** ** What a state means *)

Fixpoint sum_of (f : list Z -> Z) (observations : list (list Z)) : Z :=
  match observations with
  | [] => 0
  | x :: rest => f x + sum_of f rest
  end.

Definition tick_sum (i : nat) : list (list Z) -> Z := sum_of (tick i).
Definition product_sum (i j : nat) : list (list Z) -> Z := sum_of (fun x => tick i x * tick j x).

(** The one state of a list of observations. *)
Definition state_of (wide : bool) (features : nat) (observations : list (list Z)) : state :=
  State (Z.of_nat (length observations))
    (map (fun i => residue (sum_digits wide) (tick_sum i observations)) (seq 0 features))
    (map (fun pair => residue (product_digits wide) (product_sum (fst pair) (snd pair) observations))
       (pairs features)).

Definition within_range (wide : bool) (ticks : list Z) : Prop :=
  forall i, Z.abs (tick i ticks) < 2 ^ tick_bits wide.

Lemma sum_of_app (f : list Z -> Z) (xs ys : list (list Z)) : sum_of f (xs ++ ys) = sum_of f xs + sum_of f ys.
Proof. induction xs as [|x rest IH]; cbn [app sum_of]; [reflexivity|rewrite IH; ring]. Qed.

Lemma sum_of_permutation (f : list Z -> Z) (xs ys : list (list Z)) :
  Permutation xs ys -> sum_of f xs = sum_of f ys.
Proof. induction 1; cbn [sum_of]; congruence || ring. Qed.

Lemma add_digits_residue (n : nat) (x y : Z) : add_digits (residue n x) (residue n y) = residue n (x + y).
Proof.
  unfold add_digits. rewrite residue_length, !residue_value. apply residue_is_canonical.
  symmetry. apply Z.add_mod. pose proof (base_power n). lia.
Qed.

Lemma subtract_digits_residue (n : nat) (x y : Z) :
  subtract_digits (residue n x) (residue n y) = residue n (x - y).
Proof.
  unfold subtract_digits. rewrite residue_length, !residue_value. apply residue_is_canonical.
  symmetry. apply Zminus_mod.
Qed.

Lemma pointwise_map {B : Type} (op : list Z -> list Z -> list Z) (f g h : B -> list Z) (l : list B) :
  (forall x, op (f x) (g x) = h x) -> pointwise op (map f l) (map g l) = map h l.
Proof.
  intros H. unfold pointwise. induction l as [|x rest IH]; cbn; [reflexivity|]. now rewrite H, IH.
Qed.

Theorem merge_is_concatenation (wide : bool) (features : nat) (xs ys : list (list Z)) :
  merge (state_of wide features xs) (state_of wide features ys) = state_of wide features (xs ++ ys).
Proof.
  unfold merge, state_of; cbn [count sums products]. f_equal.
  - rewrite app_length. lia.
  - apply pointwise_map. intros i. rewrite add_digits_residue. unfold tick_sum. now rewrite sum_of_app.
  - apply pointwise_map. intros pair. rewrite add_digits_residue. unfold product_sum. now rewrite sum_of_app.
Qed.

Theorem remove_undoes_merge (wide : bool) (features : nat) (xs ys : list (list Z)) :
  remove (merge (state_of wide features xs) (state_of wide features ys)) (state_of wide features ys)
  = state_of wide features xs.
Proof.
  rewrite merge_is_concatenation. unfold remove, state_of; cbn [count sums products]. f_equal.
  - rewrite app_length. lia.
  - apply pointwise_map. intros i. rewrite subtract_digits_residue. unfold tick_sum. rewrite sum_of_app.
    f_equal. ring.
  - apply pointwise_map. intros pair. rewrite subtract_digits_residue. unfold product_sum.
    rewrite sum_of_app. f_equal. ring.
Qed.

Theorem order_leaves_no_trace (wide : bool) (features : nat) (xs ys : list (list Z)) :
  Permutation xs ys -> state_of wide features xs = state_of wide features ys.
Proof.
  intros H. unfold state_of. f_equal.
  - now rewrite (Permutation_length H).
  - apply map_ext. intros i. f_equal. now apply sum_of_permutation.
  - apply map_ext. intros pair. f_equal. now apply sum_of_permutation.
Qed.

Lemma residue_of_zero (n : nat) : residue n 0 = repeat 0 n.
Proof. induction n; cbn [residue repeat]; [reflexivity|]. f_equal. exact IHn. Qed.

Lemma map_constant {B C : Type} (c : C) (l : list B) : map (fun _ => c) l = repeat c (length l).
Proof. induction l; cbn; congruence. Qed.

Theorem empty_is_the_state_of_nothing (wide : bool) (features : nat) :
  empty wide features = state_of wide features [].
Proof.
  unfold empty, state_of, tick_sum, product_sum. cbn [sum_of length]. rewrite !residue_of_zero.
  rewrite !map_constant, seq_length. reflexivity.
Qed.

Lemma ticks_fit_words (wide : bool) (t : Z) : Z.abs t < 2 ^ tick_bits wide -> fits_word t.
Proof.
  intros Ht. unfold fits_word, DIGIT_BITS. apply Z.abs_lt in Ht.
  assert (2 ^ tick_bits wide <= 2 ^ 62) by (apply Z.pow_le_mono_r; destruct wide; easy).
  change (2 ^ (2 * 32 - 1)) with (2 * 2 ^ 62). lia.
Qed.

Lemma tick_of_zeros (i n : nat) : tick i (repeat 0 n) = 0.
Proof. unfold tick. revert i. induction n; intros [|i]; cbn; auto. Qed.

(** An observation that is held is one observation, one that is not is none. *)
Theorem one_observation (wide : bool) (features : nat) (held : bool) (ticks : list Z) :
  within_range wide ticks ->
  from_ticks wide features held ticks = state_of wide features (if held then [ticks] else []).
Proof.
  intros Hrange. unfold from_ticks.
  set (kept := if held then ticks else repeat 0 features).
  assert (within_range wide kept) as Hkept.
  { unfold kept. destruct held; [assumption|]. intros i. rewrite tick_of_zeros.
    apply Z.pow_pos_nonneg; [easy|destruct wide; easy]. }
  unfold state_of. f_equal.
  - destruct held; reflexivity.
  - apply map_ext. intros i. rewrite from_int64_is_the_residue.
    + f_equal. unfold kept, tick_sum. destruct held; cbn [sum_of]; [ring|apply tick_of_zeros].
    + apply ticks_fit_words with wide, Hkept.
    + destruct wide; cbn; lia.
  - apply map_ext. intros [i j]. cbn [fst snd].
    destruct (products_of_ticks_are_exact (tick i kept) (tick j kept) wide (Hkept i) (Hkept j)) as
      (_ & -> & _).
    change (if wide then 8%nat else 4%nat) with (product_digits wide). f_equal.
    unfold kept, product_sum. destruct held; cbn [sum_of]; [ring|rewrite !tick_of_zeros; reflexivity].
Qed.

(** A tree of merges; a leaf is an observation and whether it is held. *)
Inductive tree := Leaf (held : bool) (ticks : list Z) | Node (first second : tree).

Fixpoint reduce (wide : bool) (features : nat) (t : tree) : state :=
  match t with
  | Leaf held ticks => from_ticks wide features held ticks
  | Node first second => merge (reduce wide features first) (reduce wide features second)
  end.

Fixpoint observed (t : tree) : list (list Z) :=
  match t with
  | Leaf held ticks => if held then [ticks] else []
  | Node first second => observed first ++ observed second
  end.

Fixpoint leaves_within_range (wide : bool) (t : tree) : Prop :=
  match t with
  | Leaf _ ticks => within_range wide ticks
  | Node first second => leaves_within_range wide first /\ leaves_within_range wide second
  end.

Theorem any_tree_gives_the_state_of_its_observations (wide : bool) (features : nat) (t : tree) :
  leaves_within_range wide t -> reduce wide features t = state_of wide features (observed t).
Proof.
  induction t as [held ticks | first IHl second IHr]; cbn [leaves_within_range reduce observed].
  - apply one_observation.
  - intros [Hl Hr]. rewrite IHl, IHr by assumption. apply merge_is_concatenation.
Qed.

(** ** The budget of digits *)

(** [_any] of covariance.py: [n * S_ij - S_i * S_j], in twice the digits of a sum *)
Definition covariance_numerator (n : Z) (sum_i sum_j product : list Z) : list Z :=
  let size := (2 * length sum_i)%nat in
  subtract_digits (multiply (from_int64 n 2) product size) (multiply sum_i sum_j size).

Lemma sum_of_bound (f : list Z -> Z) (bound : Z) (observations : list (list Z)) :
  Forall (fun x => Z.abs (f x) <= bound) observations ->
  Z.abs (sum_of f observations) <= Z.of_nat (length observations) * bound.
Proof.
  induction 1 as [|x rest Hx _ IH]; cbn [sum_of length]; [easy|].
  rewrite Nat2Z.inj_succ, Z.mul_succ_l. lia.
Qed.

(** What [n] terms of at most [bound] need. *)
Lemma fits_by_count (length : nat) (n bound x : Z) :
  0 <= n <= 2 ^ COUNT_BITS - 1 -> 0 <= bound -> Z.abs x <= n * bound ->
  (2 ^ COUNT_BITS - 1) * bound < 2 ^ (DIGIT_BITS * Z.of_nat length - 1) -> fits length x.
Proof.
  intros Hn Hbound Hx Hroom. unfold fits.
  assert (n * bound <= (2 ^ COUNT_BITS - 1) * bound) by (apply Z.mul_le_mono_nonneg_r; lia).
  lia.
Qed.

Section Budget.
Set Default Proof Using "Type".
Variable wide : bool.
Variable observations : list (list Z).
Hypothesis Hrange : Forall (within_range wide) observations.
Let n := Z.of_nat (length observations).
Hypothesis Hcount : n < 2 ^ COUNT_BITS.
Let M := 2 ^ tick_bits wide.

Lemma tick_sum_bound (i : nat) : Z.abs (tick_sum i observations) <= n * (M - 1).
Proof using Hrange.
  apply sum_of_bound. eapply Forall_impl; [|exact Hrange]. intros x Hx. specialize (Hx i). unfold M. lia.
Qed.

Lemma product_sum_bound (i j : nat) : Z.abs (product_sum i j observations) <= n * (M - 1) ^ 2.
Proof using Hrange.
  apply sum_of_bound. eapply Forall_impl; [|exact Hrange]. intros x Hx.
  pose proof (Hx i) as Hi. pose proof (Hx j) as Hj. unfold M.
  rewrite Z.abs_mul, Z.pow_2_r. apply Z.mul_le_mono_nonneg; lia.
Qed.

Lemma count_limits : 0 <= n <= 2 ^ COUNT_BITS - 1.
Proof using Hcount. clear M Hrange. unfold n in *. lia. Qed.

Theorem sums_fit (i : nat) : fits (sum_digits wide) (tick_sum i observations).
Proof using Hrange Hcount.
  apply (fits_by_count _ n (M - 1)); [apply count_limits| |apply tick_sum_bound|];
    unfold M; destruct wide; easy.
Qed.

Theorem products_fit (i j : nat) : fits (product_digits wide) (product_sum i j observations).
Proof using Hrange Hcount.
  apply (fits_by_count _ n ((M - 1) ^ 2)); [apply count_limits| |apply product_sum_bound|];
    unfold M; destruct wide; easy.
Qed.

Lemma numerator_bound (i j : nat) :
  Z.abs (n * product_sum i j observations - tick_sum i observations * tick_sum j observations)
  <= 2 * (n * (M - 1)) ^ 2.
Proof using Hrange.
  pose proof (product_sum_bound i j) as Hij. pose proof (tick_sum_bound i) as Hi. pose proof
    (tick_sum_bound j) as Hj.
  assert (0 <= n) as Hn by (unfold n; lia).
  assert (Z.abs (n * product_sum i j observations) <= n * (n * (M - 1) ^ 2)).
  { rewrite Z.abs_mul, (Z.abs_eq n) by assumption. now apply Z.mul_le_mono_nonneg_l. }
  assert (Z.abs (tick_sum i observations * tick_sum j observations) <= (n * (M - 1)) * (n * (M - 1))).
  { rewrite Z.abs_mul. apply Z.mul_le_mono_nonneg; try apply Z.abs_nonneg; assumption. }
  replace (2 * (n * (M - 1)) ^ 2) with (n * (n * (M - 1) ^ 2) + (n * (M - 1)) * (n * (M - 1))) by ring. lia.
Qed.

Theorem numerators_fit (i j : nat) :
  fits (2 * sum_digits wide)
    (n * product_sum i j observations - tick_sum i observations * tick_sum j observations).
Proof using Hrange Hcount.
  apply (fits_by_count _ n (2 * (2 ^ COUNT_BITS - 1) * (M - 1) ^ 2)).
  - apply count_limits.
  - unfold M; destruct wide; easy.
  - eapply Z.le_trans; [apply numerator_bound|].
    replace (2 * (n * (M - 1)) ^ 2) with (n * (2 * n * (M - 1) ^ 2)) by ring.
    pose proof count_limits. apply Z.mul_le_mono_nonneg_l; [lia|].
    apply Z.mul_le_mono_nonneg_r; [apply Z.pow_even_nonneg; exists 1; reflexivity|lia].
  - unfold M; destruct wide; reflexivity.
Qed.

(** [n * (n - 1)] is a [uint64], and the count a pair of digits. *)
Theorem denominator_fits : n * (n - 1) < 2 ^ (2 * DIGIT_BITS).
Proof using Hcount.
  pose proof count_limits as Hn. clear M Hrange. unfold COUNT_BITS, DIGIT_BITS in *.
  assert (n * (n - 1) <= n * 2 ^ 32) by (apply Z.mul_le_mono_nonneg_l; lia). lia.
Qed.

Lemma count_fits : fits_word n /\ fits 2 n.
Proof using Hcount.
  pose proof count_limits as Hn. clear M Hrange. unfold COUNT_BITS, fits_word, fits, DIGIT_BITS in *. cbn in
    *. lia.
Qed.

Theorem numerator_is_exact (i j : nat) :
  signed (covariance_numerator n (residue (sum_digits wide) (tick_sum i observations))
    (residue (sum_digits wide) (tick_sum j observations))
    (residue (product_digits wide) (product_sum i j observations)))
  = n * product_sum i j observations - tick_sum i observations * tick_sum j observations.
Proof using Hrange Hcount.
  destruct count_fits as [Hword Hdigits].
  assert (0 < sum_digits wide /\ 0 < product_digits wide)%nat as [Hs Hp] by (destruct wide; cbn; lia).
  unfold covariance_numerator. rewrite residue_length, !multiply_is_the_product_modulo.
  rewrite subtract_digits_residue, (from_int64_is_the_residue _ _ Hword) by lia.
  rewrite (residue_of_what_fits 2 _ ltac:(lia) Hdigits), !(residue_of_what_fits _ _ Hs (sums_fit _)).
  rewrite (residue_of_what_fits _ _ Hp (products_fit i j)).
  apply residue_of_what_fits; [lia|]. apply numerators_fit.
Qed.
End Budget.

(** ** Variances *)

Lemma sum_of_is_total (f : list Z -> Z) (observations : list (list Z)) :
  IZR (sum_of f observations) = total (fun x => IZR (f x)) observations.
Proof. induction observations as [|x rest IH]; cbn [sum_of total]; [reflexivity|]. now rewrite plus_IZR, IH.
  Qed.

Lemma numerator_is_cross (i j : nat) (observations : list (list Z)) :
  IZR (Z.of_nat (length observations) * product_sum i j observations
       - tick_sum i observations * tick_sum j observations)
  = cross (fun x => IZR (tick i x)) (fun x => IZR (tick j x)) observations.
Proof.
  rewrite minus_IZR, !mult_IZR, <- INR_IZR_INZ. unfold product_sum, tick_sum. rewrite !sum_of_is_total.
  unfold cross, number. do 2 f_equal. apply total_ext. intros x _. apply mult_IZR.
Qed.

(** The numerator of a variance is never negative. *)
Theorem variance_numerator_is_nonnegative (i : nat) (observations : list (list Z)) :
  tick_sum i observations * tick_sum i observations
  <= Z.of_nat (length observations) * product_sum i i observations.
Proof.
  apply Z.le_0_sub, le_IZR. rewrite numerator_is_cross. apply cross_of_one_is_nonnegative.
Qed.
