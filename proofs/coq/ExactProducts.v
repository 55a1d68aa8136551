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

Definition FLOAT32_PRODUCT_count_bits : Z :=
  DIGIT_BITS * FLOAT32_PRODUCT_digits - 1 - FLOAT32_PRODUCT_term_bits.
Definition FLOAT64_PRODUCT_count_bits : Z :=
  DIGIT_BITS * FLOAT64_PRODUCT_digits - 1 - FLOAT64_PRODUCT_term_bits.

Theorem product_count_bits : FLOAT32_PRODUCT_count_bits = 85 /\ FLOAT64_PRODUCT_count_bits = 91.
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

Definition float32_product_term (xy : Z * Z) : term :=
  let d := product_decoded float32_bits float32_width xy in
  term_of (words_of_float64 (mantissa d)) d.
Definition float64_product_term (xy : Z * Z) : term :=
  let d := product_decoded float64_bits float64_width xy in
  term_of (multiply (mantissa (decode64 (fst xy))) (mantissa (decode64 (snd xy)))) d.

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

(** A product of two mantissas of 24 bits fits two words. *)
Lemma product_words_of_float32 : forall m n, 0 <= m < 2 ^ 24 -> 0 <= n < 2 ^ 24 ->
  value (words_of_float64 (m * n)) = m * n /\ Forall is_digit (words_of_float64 (m * n)).
Proof.
  intros m n Hm Hn. apply float64_words. split; [apply Z.mul_nonneg_nonneg; lia|].
  apply Z.lt_trans with (2 ^ 24 * 2 ^ 24); [apply Z.mul_lt_mono_nonneg; tauto | reflexivity].
Qed.

Definition are_float32 (xy : Z * Z) : Prop := is_float32 (fst xy) /\ is_float32 (snd xy).
Definition are_finite32 (xy : Z * Z) : bool := is_finite32 (fst xy) && is_finite32 (snd xy).
Definition real_product32 (xy : Z * Z) : R := (real32 (fst xy) * real32 (snd xy))%R.
Definition integer_product32 (xy : Z * Z) : Z := integer32 (fst xy) * integer32 (snd xy).

Lemma float32_product_is_placed : forall xy, are_float32 xy ->
  lift_placed (Z.to_nat FLOAT32_PRODUCT_digits) (placed (float32_product_term xy))
  = digits (Z.to_nat FLOAT32_PRODUCT_digits) (integer_product32 xy).
Proof.
  intros [x y] [Hx Hy]. cbn [fst snd] in *. unfold integer_product32, integer32, integer_of, decode32.
  cbn [fst snd].
  pose proof (mantissa_range float32_bits float32_width eq_refl eq_refl x Hx) as Mx.
  pose proof (mantissa_range float32_bits float32_width eq_refl eq_refl y Hy) as My.
  pose proof (position_range float32_bits float32_width eq_refl eq_refl eq_refl x Hx) as [Px _].
  pose proof (position_range float32_bits float32_width eq_refl eq_refl eq_refl y Hy) as [Py _].
  pose proof (sign_is_a_bit float32_bits float32_width eq_refl eq_refl x Hx) as Sx.
  pose proof (sign_is_a_bit float32_bits float32_width eq_refl eq_refl y Hy) as Sy.
  unfold float32_product_term, term_of, product_decoded, decode32.
  cbn [placed sign mantissa position fst snd].
  destruct (product_words_of_float32 (mantissa (decode float32_bits float32_width x)) (mantissa (decode
    float32_bits float32_width y)) Mx My) as [Hv Hd].
  rewrite lifts_hold_the_integer; [| apply lxor_of_bits; assumption | lia | exact Hd].
  rewrite Hv, signed_by_product by assumption. reflexivity.
Qed.

Lemma float32_product_is_bounded : forall xy, are_float32 xy ->
  Z.abs (integer_product32 xy) < 2 ^ FLOAT32_PRODUCT_term_bits.
Proof.
  intros [x y] [Hx Hy]. cbn [fst snd] in *. unfold integer_product32. cbn [fst snd]. rewrite Z.abs_mul.
  replace FLOAT32_PRODUCT_term_bits with (FLOAT32_term_bits + FLOAT32_term_bits) by reflexivity.
  rewrite Z.pow_add_r by discriminate.
  apply Z.mul_lt_mono_nonneg; [apply Z.abs_nonneg | | apply Z.abs_nonneg |]; apply float32_is_bounded;
    assumption.
Qed.

Lemma float32_product_is_exact : forall xy, are_float32 xy -> are_finite32 xy = true ->
  real_product32 xy = (IZR (integer_product32 xy) * bpow radix2 FLOAT32_PRODUCT_lsb)%R.
Proof.
  intros [x y] [Hx Hy] F. apply andb_prop in F as [Fx Fy]. unfold real_product32, integer_product32.
  cbn [fst snd] in *.
  replace FLOAT32_PRODUCT_lsb with (FLOAT32_lsb + FLOAT32_lsb) by reflexivity.
  rewrite bpow_plus, mult_IZR, !float32_is_exact by assumption. ring.
Qed.

Lemma float32_product_flags : forall xy, are_float32 xy -> are_finite32 xy = true ->
  nan (float32_product_term xy) = false /\ pos_inf (float32_product_term xy) = false
  /\ neg_inf (float32_product_term xy) = false.
Proof.
  intros [x y] _ F. apply andb_prop in F as [Fx Fy]. cbn [fst snd] in Fx, Fy.
  apply negb_true_iff, orb_false_iff in Fx as [Nx Ix]. apply negb_true_iff, orb_false_iff in Fy as [Ny Iy].
  unfold float32_product_term, term_of, product_decoded.
  cbn [nan pos_inf neg_inf is_not_a_number is_infinite].
  rewrite Nx, Ix, Ny, Iy. auto.
Qed.

Definition float32_product_state : plan (Z * Z) -> carrier (accumulator (Z.to_nat FLOAT32_PRODUCT_digits)) :=
  state_of (Z.to_nat FLOAT32_PRODUCT_digits) float32_product_term.

Theorem float32_sums_of_products_are_correctly_rounded : forall p kept common owed,
  Forall are_float32 (merged p) -> Forall are_float32 (removed p) ->
  Permutation (merged p) (kept ++ common) -> Permutation (removed p) (owed ++ common) ->
  forallb are_finite32 kept = true -> forallb are_finite32 owed = true ->
  Z.of_nat (length kept) + Z.of_nat (length owed) < 2 ^ FLOAT32_PRODUCT_count_bits ->
  let exact := (real_sum real_product32 kept - real_sum real_product32 owed)%R in
  rounded_once 52 11 exact (b64_of_bits (present64 FLOAT32_PRODUCT_lsb (float32_product_state p)))
  /\ rounded_once 23 8 exact (b32_of_bits (present32 FLOAT32_PRODUCT_lsb (float32_product_state p))).
Proof.
  intros p kept common owed Vm Vr Hm Hr Fk Fo Hn exact.
  pose proof (net_sums_are_rounded_once are_float32 are_finite32 real_product32 integer_product32
    float32_product_term (Z.to_nat FLOAT32_PRODUCT_digits) FLOAT32_PRODUCT_lsb FLOAT32_PRODUCT_term_bits
    float32_product_is_placed float32_product_is_bounded float32_product_is_exact float32_product_flags
    ltac:(discriminate) ltac:(discriminate)) as H.
  split.
  - exact (H 52 11 eq_refl eq_refl eq_refl infinity64_reads nan64_reads p kept common owed Vm Vr Hm Hr Hn Fk
      Fo).
  - exact (H 23 8 eq_refl eq_refl eq_refl infinity32_reads nan32_reads p kept common owed Vm Vr Hm Hr Hn Fk
      Fo).
Qed.

Definition are_float64 (xy : Z * Z) : Prop := is_float64 (fst xy) /\ is_float64 (snd xy).
Definition are_finite64 (xy : Z * Z) : bool := is_finite64 (fst xy) && is_finite64 (snd xy).
Definition real_product64 (xy : Z * Z) : R := (real64 (fst xy) * real64 (snd xy))%R.
Definition integer_product64 (xy : Z * Z) : Z := integer64 (fst xy) * integer64 (snd xy).

Lemma float64_product_is_placed : forall xy, are_float64 xy ->
  lift_placed (Z.to_nat FLOAT64_PRODUCT_digits) (placed (float64_product_term xy))
  = digits (Z.to_nat FLOAT64_PRODUCT_digits) (integer_product64 xy).
Proof.
  intros [x y] [Hx Hy]. cbn [fst snd] in *. unfold integer_product64, integer64, integer_of, decode64.
  cbn [fst snd].
  pose proof (mantissa_range float64_bits float64_width eq_refl eq_refl x Hx) as Mx.
  pose proof (mantissa_range float64_bits float64_width eq_refl eq_refl y Hy) as My.
  pose proof (position_range float64_bits float64_width eq_refl eq_refl eq_refl x Hx) as [Px _].
  pose proof (position_range float64_bits float64_width eq_refl eq_refl eq_refl y Hy) as [Py _].
  pose proof (sign_is_a_bit float64_bits float64_width eq_refl eq_refl x Hx) as Sx.
  pose proof (sign_is_a_bit float64_bits float64_width eq_refl eq_refl y Hy) as Sy.
  unfold float64_product_term, term_of, product_decoded, decode64.
  cbn [placed sign mantissa position fst snd].
  destruct (multiply_is_the_product (mantissa (decode float64_bits float64_width x)) (mantissa (decode
    float64_bits float64_width y)) Mx My) as [Hv Hd].
  rewrite lifts_hold_the_integer; [| apply lxor_of_bits; assumption | lia | exact Hd].
  rewrite Hv, signed_by_product by assumption. reflexivity.
Qed.

Lemma float64_product_is_bounded : forall xy, are_float64 xy ->
  Z.abs (integer_product64 xy) < 2 ^ FLOAT64_PRODUCT_term_bits.
Proof.
  intros [x y] [Hx Hy]. cbn [fst snd] in *. unfold integer_product64. cbn [fst snd]. rewrite Z.abs_mul.
  replace FLOAT64_PRODUCT_term_bits with (FLOAT64_term_bits + FLOAT64_term_bits) by reflexivity.
  rewrite Z.pow_add_r by discriminate.
  apply Z.mul_lt_mono_nonneg; [apply Z.abs_nonneg | | apply Z.abs_nonneg |]; apply float64_is_bounded;
    assumption.
Qed.

Lemma float64_product_is_exact : forall xy, are_float64 xy -> are_finite64 xy = true ->
  real_product64 xy = (IZR (integer_product64 xy) * bpow radix2 FLOAT64_PRODUCT_lsb)%R.
Proof.
  intros [x y] [Hx Hy] F. apply andb_prop in F as [Fx Fy]. unfold real_product64, integer_product64.
  cbn [fst snd] in *.
  replace FLOAT64_PRODUCT_lsb with (FLOAT64_lsb + FLOAT64_lsb) by reflexivity.
  rewrite bpow_plus, mult_IZR, !float64_is_exact by assumption. ring.
Qed.

Lemma float64_product_flags : forall xy, are_float64 xy -> are_finite64 xy = true ->
  nan (float64_product_term xy) = false /\ pos_inf (float64_product_term xy) = false
  /\ neg_inf (float64_product_term xy) = false.
Proof.
  intros [x y] _ F. apply andb_prop in F as [Fx Fy]. cbn [fst snd] in Fx, Fy.
  apply negb_true_iff, orb_false_iff in Fx as [Nx Ix]. apply negb_true_iff, orb_false_iff in Fy as [Ny Iy].
  unfold float64_product_term, term_of, product_decoded.
  cbn [nan pos_inf neg_inf is_not_a_number is_infinite].
  rewrite Nx, Ix, Ny, Iy. auto.
Qed.

Definition float64_product_state : plan (Z * Z) -> carrier (accumulator (Z.to_nat FLOAT64_PRODUCT_digits)) :=
  state_of (Z.to_nat FLOAT64_PRODUCT_digits) float64_product_term.

Theorem float64_sums_of_products_are_correctly_rounded : forall p kept common owed,
  Forall are_float64 (merged p) -> Forall are_float64 (removed p) ->
  Permutation (merged p) (kept ++ common) -> Permutation (removed p) (owed ++ common) ->
  forallb are_finite64 kept = true -> forallb are_finite64 owed = true ->
  Z.of_nat (length kept) + Z.of_nat (length owed) < 2 ^ FLOAT64_PRODUCT_count_bits ->
  let exact := (real_sum real_product64 kept - real_sum real_product64 owed)%R in
  rounded_once 52 11 exact (b64_of_bits (present64 FLOAT64_PRODUCT_lsb (float64_product_state p)))
  /\ rounded_once 23 8 exact (b32_of_bits (present32 FLOAT64_PRODUCT_lsb (float64_product_state p))).
Proof.
  intros p kept common owed Vm Vr Hm Hr Fk Fo Hn exact.
  pose proof (net_sums_are_rounded_once are_float64 are_finite64 real_product64 integer_product64
    float64_product_term (Z.to_nat FLOAT64_PRODUCT_digits) FLOAT64_PRODUCT_lsb FLOAT64_PRODUCT_term_bits
    float64_product_is_placed float64_product_is_bounded float64_product_is_exact float64_product_flags
    ltac:(discriminate) ltac:(discriminate)) as H.
  split.
  - exact (H 52 11 eq_refl eq_refl eq_refl infinity64_reads nan64_reads p kept common owed Vm Vr Hm Hr Hn Fk
      Fo).
  - exact (H 23 8 eq_refl eq_refl eq_refl infinity32_reads nan32_reads p kept common owed Vm Vr Hm Hr Hn Fk
      Fo).
Qed.
