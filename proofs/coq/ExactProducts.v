(** Exact sums of products of two float32 or two float64, from the bits of the factors to those of the answer.

    Models convergence_jax.exact.terms: [product_terms], [_multiply], [_is_zero], and Superaccumulator of
    FLOAT32_PRODUCT and FLOAT64_PRODUCT.

    Proves: fewer than 2^85 (float32) or 2^91 (float64) products that are left are summed exactly and rounded
    once, whatever came and went. *)
From Coq Require Import ZArith List Lia Reals Bool Permutation.
From Flocq Require Import Core IEEE754.BinarySingleNaN IEEE754.Binary IEEE754.Bits.
From Convergence Require Import Constants Residues Plans Floats Rounding Accumulator NetSums ExactSums.
Import ListNotations.
Open Scope Z_scope.

(** ** The two formats of products *)

Definition product_lsb (f : format) : Z :=
  match f with Float32 => FLOAT32_PRODUCT_lsb | Float64 => FLOAT64_PRODUCT_lsb end.
Definition product_length (f : format) : nat :=
  Z.to_nat (match f with Float32 => FLOAT32_PRODUCT_digits | Float64 => FLOAT64_PRODUCT_digits end).
Definition product_bits (f : format) : Z :=
  match f with Float32 => FLOAT32_PRODUCT_term_bits | Float64 => FLOAT64_PRODUCT_term_bits end.
Definition product_count_bits (f : format) : Z :=
  DIGIT_BITS * Z.of_nat (product_length f) - 1 - product_bits f.

Theorem product_count_bits_are_as_documented :
  product_count_bits Float32 = 85 /\ product_count_bits Float64 = 91.
Proof. split; reflexivity. Qed.

(** ** The model *)

(** [_multiply]: integers below 2^53, in four words. *)
Definition multiply (m n : Z) : list Z :=
  let m_low := Z.land m DIGIT_MASK in
  let m_high := Z.shiftr m DIGIT_BITS in
  let n_low := Z.land n DIGIT_MASK in
  let n_high := Z.shiftr n DIGIT_BITS in
  let low := m_low * n_low in
  let middle := m_low * n_high in
  let cross := m_high * n_low in
  let high := m_high * n_high in
  let second := Z.shiftr low DIGIT_BITS + Z.land middle DIGIT_MASK + Z.land cross DIGIT_MASK in
  let third := Z.shiftr second DIGIT_BITS + Z.shiftr middle DIGIT_BITS + Z.shiftr cross DIGIT_BITS
               + Z.land high DIGIT_MASK in
  [Z.land low DIGIT_MASK; Z.land second DIGIT_MASK; Z.land third DIGIT_MASK;
   Z.shiftr third DIGIT_BITS + Z.shiftr high DIGIT_BITS].

(** [_is_zero]: the bits without the sign; [unsigned] is as wide as the float. *)
Definition is_zero_pattern (bits width x : Z) : bool := Z.shiftl x 1 mod 2 ^ (bits + width + 1) =? 0.

(** [product_terms]. *)
Definition product_decoded (bits width : Z) (xy : Z * Z) : decoded :=
  let (x, y) := xy in
  let dx := decode bits width x in
  let dy := decode bits width y in
  let infinite := is_infinite dx || is_infinite dy in
  let not_a_number := is_not_a_number dx || is_not_a_number dy
    || (is_infinite dx && is_zero_pattern bits width y) || (is_infinite dy && is_zero_pattern bits width x) in
  Decoded (Z.lxor (sign dx) (sign dy)) (mantissa dx * mantissa dy) (position dx + position dy)
    not_a_number (infinite && negb not_a_number).

(** The words of a product: two mantissas of 24 bits fit the words of a float64. *)
Definition product_words (f : format) (m n : Z) : list Z :=
  match f with Float32 => words_of_float64 (m * n) | Float64 => multiply m n end.

Definition product_term (f : format) (xy : Z * Z) : term :=
  term_of (product_words f (mantissa (decoded_of f (fst xy))) (mantissa (decoded_of f (snd xy))))
    (product_decoded (fraction_bits f) (exponent_bits f) xy).

(** ** What it computes *)

Theorem multiply_is_the_product : forall m n, 0 <= m < 2 ^ 53 -> 0 <= n < 2 ^ 53 ->
  value (multiply m n) = m * n /\ Forall is_digit (multiply m n).
Proof.
  intros m n Hm Hn. unfold multiply. rewrite !mask_is_mod, !Z.shiftr_div_pow2 by discriminate.
  change (2 ^ DIGIT_BITS) with BASE.
  assert (HB : BASE = 4294967296) by reflexivity.
  pose proof (Z.div_mod m BASE ltac:(discriminate)) as Em. pose proof (Z.mod_pos_bound m BASE eq_refl) as Rm.
  pose proof (Z.div_mod n BASE ltac:(discriminate)) as En. pose proof (Z.mod_pos_bound n BASE eq_refl) as Rn.
  assert (Qm : 0 <= m / BASE < 2 ^ 21).
  { split; [apply Z.div_pos; [lia | reflexivity] | apply Z.div_lt_upper_bound; [reflexivity | rewrite HB;
      lia]]. }
  assert (Qn : 0 <= n / BASE < 2 ^ 21).
  { split; [apply Z.div_pos; [lia | reflexivity] | apply Z.div_lt_upper_bound; [reflexivity | rewrite HB;
      lia]]. }
  set (ml := m mod BASE) in *. set (mh := m / BASE) in *. set (nl := n mod BASE) in *.
  set (nh := n / BASE) in *.
  clearbody ml mh nl nh. subst m n. clear Hm Hn.
  set (low := ml * nl). set (middle := ml * nh). set (cross := mh * nl). set (high := mh * nh).
  assert (Rhigh : 0 <= high <= (2 ^ 21 - 1) * (2 ^ 21 - 1))
    by (unfold high; split; [apply Z.mul_nonneg_nonneg; lia | apply Z.mul_le_mono_nonneg; lia]).
  assert (Rmiddle : 0 <= middle <= (BASE - 1) * (2 ^ 21 - 1))
    by (unfold middle; split; [apply Z.mul_nonneg_nonneg; lia | apply Z.mul_le_mono_nonneg; lia]).
  assert (Rcross : 0 <= cross <= (2 ^ 21 - 1) * (BASE - 1))
    by (unfold cross; split; [apply Z.mul_nonneg_nonneg; lia | apply Z.mul_le_mono_nonneg; lia]).
  assert (Rlow : 0 <= low <= (BASE - 1) * (BASE - 1))
    by (unfold low; split; [apply Z.mul_nonneg_nonneg; lia | apply Z.mul_le_mono_nonneg; lia]).
  replace ((BASE * mh + ml) * (BASE * nh + nl)) with (low + BASE * middle + BASE * cross + BASE * BASE * high)
    by (unfold low, middle, cross, high; ring).
  clearbody low middle cross high. clear - Rhigh Rmiddle Rcross Rlow HB. rewrite HB in *. cbn [value].
  rewrite HB.
  pose proof (Z.div_mod low 4294967296 ltac:(discriminate)).
  pose proof (Z.mod_pos_bound low 4294967296 eq_refl).
  pose proof (Z.div_mod middle 4294967296 ltac:(discriminate)).
  pose proof (Z.mod_pos_bound middle 4294967296 eq_refl).
  pose proof (Z.div_mod cross 4294967296 ltac:(discriminate)).
  pose proof (Z.mod_pos_bound cross 4294967296 eq_refl).
  pose proof (Z.div_mod high 4294967296 ltac:(discriminate)).
  pose proof (Z.mod_pos_bound high 4294967296 eq_refl).
  set (second := low / 4294967296 + middle mod 4294967296 + cross mod 4294967296) in *.
  pose proof (Z.div_mod second 4294967296 ltac:(discriminate)).
  pose proof (Z.mod_pos_bound second 4294967296 eq_refl).
  set (third := second / 4294967296 + middle / 4294967296 + cross / 4294967296 + high mod 4294967296) in *.
  pose proof (Z.div_mod third 4294967296 ltac:(discriminate)).
  pose proof (Z.mod_pos_bound third 4294967296 eq_refl).
  split; [unfold third, second in *; lia|].
  unfold is_digit. rewrite HB. repeat constructor; try lia; unfold third, second in *; lia.
Qed.

Lemma lxor_of_bits : forall a b, a = 0 \/ a = 1 -> b = 0 \/ b = 1 -> Z.lxor a b = 0 \/ Z.lxor a b = 1.
Proof. intros a b [-> | ->] [-> | ->]; cbn; auto. Qed.

Lemma signed_by_product : forall s t m n p q, s = 0 \/ s = 1 -> t = 0 \/ t = 1 -> 0 <= p -> 0 <= q ->
  signed_by (Z.lxor s t) (m * n * 2 ^ (p + q)) = signed_by s (m * 2 ^ p) * signed_by t (n * 2 ^ q).
Proof.
  intros s t m n p q [-> | ->] [-> | ->] Hp Hq; rewrite Z.pow_add_r by assumption; unfold signed_by;
    simpl Z.lxor; simpl Z.eqb; cbv iota; ring.
Qed.

Lemma product_words_hold : forall f m n,
  0 <= m < 2 ^ (fraction_bits f + 1) -> 0 <= n < 2 ^ (fraction_bits f + 1) ->
  value (product_words f m n) = m * n /\ Forall is_digit (product_words f m n).
Proof.
  intros [|] m n Hm Hn; [|exact (multiply_is_the_product m n Hm Hn)].
  apply words_of_float64_hold. split; [apply Z.mul_nonneg_nonneg; lia|].
  apply Z.lt_trans with (2 ^ 24 * 2 ^ 24); [apply Z.mul_lt_mono_nonneg; tauto | reflexivity].
Qed.

(** ** Pairs of floats *)

Definition are_patterns (f : format) (xy : Z * Z) : Prop := is_pattern f (fst xy) /\ is_pattern f (snd xy).
Definition are_finite (f : format) (xy : Z * Z) : bool := is_finite f (fst xy) && is_finite f (snd xy).
Definition real_product (f : format) (xy : Z * Z) : R := (real f (fst xy) * real f (snd xy))%R.
Definition integer_product (f : format) (xy : Z * Z) : Z := integer f (fst xy) * integer f (snd xy).

Lemma product_is_placed : forall f xy, are_patterns f xy ->
  lift_placed (product_length f) (placed (product_term f xy))
  = digits (product_length f) (integer_product f xy).
Proof.
  intros f [x y] [Hx Hy]. cbn [fst snd] in *. unfold integer_product, integer, integer_of. cbn [fst snd].
  pose proof (fraction_is_positive f) as Pf. pose proof (exponent_is_positive f) as Pe.
  pose proof (mantissa_range _ _ Pf Pe x Hx) as Mx. pose proof (mantissa_range _ _ Pf Pe y Hy) as My.
  pose proof (position_range _ _ Pf Pe (range_suffices f) x Hx) as [Px _].
  pose proof (position_range _ _ Pf Pe (range_suffices f) y Hy) as [Py _].
  pose proof (sign_is_a_bit _ _ Pf Pe x Hx) as Sx. pose proof (sign_is_a_bit _ _ Pf Pe y Hy) as Sy.
  unfold product_term, term_of, product_decoded, decoded_of.
  cbn [placed sign mantissa position fst snd].
  destruct (product_words_hold f _ _ Mx My) as [Hv Hd].
  rewrite lifts_hold_the_integer; [| apply lxor_of_bits; assumption | lia | exact Hd].
  rewrite Hv, signed_by_product by assumption. reflexivity.
Qed.

Lemma product_is_bounded : forall f xy, are_patterns f xy ->
  Z.abs (integer_product f xy) < 2 ^ product_bits f.
Proof.
  intros f [x y] [Hx Hy]. cbn [fst snd] in *. unfold integer_product. cbn [fst snd]. rewrite Z.abs_mul.
  replace (product_bits f) with (term_bits f + term_bits f) by (destruct f; reflexivity).
  rewrite Z.pow_add_r by (destruct f; discriminate).
  apply Z.mul_lt_mono_nonneg; [apply Z.abs_nonneg | | apply Z.abs_nonneg |]; apply term_is_bounded;
    assumption.
Qed.

Lemma product_is_exact : forall f xy, are_patterns f xy -> are_finite f xy = true ->
  real_product f xy = (IZR (integer_product f xy) * bpow radix2 (product_lsb f))%R.
Proof.
  intros f [x y] [Hx Hy] F. apply andb_prop in F as [Fx Fy]. unfold real_product, integer_product.
  cbn [fst snd] in *.
  replace (product_lsb f) with (lsb f + lsb f) by (destruct f; reflexivity).
  rewrite bpow_plus, mult_IZR, !term_is_exact by assumption. ring.
Qed.

Lemma product_flags_of_finite : forall f xy, are_patterns f xy -> are_finite f xy = true ->
  nan (product_term f xy) = false /\ pos_inf (product_term f xy) = false
  /\ neg_inf (product_term f xy) = false.
Proof.
  intros f [x y] _ F. apply andb_prop in F as [Fx Fy]. cbn [fst snd] in Fx, Fy.
  apply negb_true_iff, orb_false_iff in Fx as [Nx Ix]. apply negb_true_iff, orb_false_iff in Fy as [Ny Iy].
  unfold product_term, term_of, product_decoded.
  cbn [nan pos_inf neg_inf is_not_a_number is_infinite].
  rewrite Nx, Ix, Ny, Iy. auto.
Qed.

(** ** The theorem *)

Definition product_state (f : format) : plan (Z * Z) -> carrier (accumulator (product_length f)) :=
  state_of (product_length f) (product_term f).

Theorem sums_of_products_are_correctly_rounded : forall f answer p kept common owed,
  Forall (are_patterns f) (merged p) -> Forall (are_patterns f) (removed p) ->
  Permutation (merged p) (kept ++ common) -> Permutation (removed p) (owed ++ common) ->
  forallb (are_finite f) kept = true -> forallb (are_finite f) owed = true ->
  Z.of_nat (length kept) + Z.of_nat (length owed) < 2 ^ product_count_bits f ->
  rounded_once (fraction_bits answer) (exponent_bits answer)
    (real_sum (real_product f) kept - real_sum (real_product f) owed)
    (read answer (present_as answer (product_lsb f) (product_state f p))).
Proof.
  intros f answer p kept common owed Vm Vr Hm Hr Fk Fo Hn.
  assert (0 <= product_bits f /\ 0 <= product_count_bits f) as [Ht Hc] by (destruct f; split; discriminate).
  exact (net_sums_are_rounded_once (are_patterns f) (are_finite f) (real_product f) (integer_product f)
    (product_term f) (product_length f) (product_lsb f) (product_bits f) (product_is_placed f)
    (product_is_bounded f) (product_is_exact f) (product_flags_of_finite f) Ht Hc _ _
    (fraction_is_positive answer) (exponent_is_positive answer) (range_suffices answer)
    (infinity_reads answer) (nan_reads answer) p kept common owed Vm Vr Hm Hr Hn Fk Fo).
Qed.
