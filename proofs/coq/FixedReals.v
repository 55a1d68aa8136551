(** Words of 64 bits and reals of two words, as convergence_jax/exact/reals.py has them.

    Definitions mirror `multiply_high`, `add`, `negate` and `subtract`, with `_times` and `_shift_down` of
    exp_ln.py: on words modulo 2^64, as NumPy and JAX compute. Proved: each is the plain operation on
    integers, so nothing is lost by wrapping around, and how far each is from the exact real. *)
From Coq Require Import ZArith Lia List.
From Convergence Require Import Constants.
Import ListNotations.
Open Scope Z_scope.

Definition word (n : Z) : Z := n mod 2 ^ 64.
Definition signed (n : Z) : Z := (n + 2 ^ 63) mod 2 ^ 64 - 2 ^ 63.
Definition is_word (n : Z) : Prop := 0 <= n < 2 ^ 64.
Definition is_signed (n : Z) : Prop := - 2 ^ 63 <= n < 2 ^ 63.

Lemma word_small (n : Z) : is_word n -> word n = n.
Proof. intros H. apply Z.mod_small, H. Qed.

Lemma signed_small (n : Z) : is_signed n -> signed n = n.
Proof. intros H. unfold signed, is_signed in *. rewrite Z.mod_small; lia. Qed.

Lemma word_is_word (n : Z) : is_word (word n).
Proof. apply Z.mod_pos_bound. reflexivity. Qed.

(** A mask keeps the remainder, a shift the quotient. *)
Lemma mask_is_remainder (n : Z) : Z.land n DIGIT_MASK = n mod 2 ^ 32.
Proof. exact (Z.land_ones n 32 ltac:(lia)). Qed.

Lemma right_is_quotient (n by_ : Z) : 0 <= by_ -> Z.shiftr n by_ = n / 2 ^ by_.
Proof. apply Z.shiftr_div_pow2. Qed.

Lemma left_is_product (n by_ : Z) : 0 <= by_ -> Z.shiftl n by_ = n * 2 ^ by_.
Proof. apply Z.shiftl_mul_pow2. Qed.

(** Two numbers whose bits do not meet: `or` is the sum. *)
Lemma or_is_sum (high low : Z) : 0 <= low < 2 ^ 32 -> Z.lor (high * 2 ^ 32) low = high * 2 ^ 32 + low.
Proof.
  intros H. rewrite <- Z.lxor_lor, <- Z.add_nocarry_lxor; trivial;
    apply Z.bits_inj'; intros n Hn; rewrite Z.land_spec, Z.bits_0;
    (destruct (Z.ltb_spec n 32) as [small | large];
      [rewrite Z.mul_pow2_bits_low by lia; reflexivity|]);
    replace low with (low mod 2 ^ 32) by (apply Z.mod_small; lia);
    rewrite Z.mod_pow2_bits_high by lia; apply Bool.andb_false_r.
Qed.

(** ** `multiply_high` *)

Definition multiply_high (a b : Z) : Z :=
  let a_low := Z.land a DIGIT_MASK in let a_high := Z.shiftr a DIGIT_BITS in
  let b_low := Z.land b DIGIT_MASK in let b_high := Z.shiftr b DIGIT_BITS in
  let middle := word (word (a_high * b_low) + Z.shiftr (word (a_low * b_low)) DIGIT_BITS) in
  let cross := word (word (a_low * b_high) + Z.land middle DIGIT_MASK) in
  word (word (word (a_high * b_high) + Z.shiftr middle DIGIT_BITS) + Z.shiftr cross DIGIT_BITS).

Theorem multiply_high_is_the_upper_word (a b : Z) : is_word a -> is_word b ->
  multiply_high a b = a * b / 2 ^ 64.
Proof.
  unfold is_word, multiply_high, DIGIT_BITS. intros Ha Hb.
  rewrite !mask_is_remainder, !right_is_quotient by lia.
  assert (product : a * b = (2 ^ 32 * (a / 2 ^ 32) + a mod 2 ^ 32) * (2 ^ 32 * (b / 2 ^ 32) + b mod 2 ^ 32)).
  { rewrite <- !Z.div_mod by lia. reflexivity. }
  rewrite product. clear product.
  assert (0 <= a / 2 ^ 32 < 2 ^ 32) by (split; [apply Z.div_pos | apply Z.div_lt_upper_bound]; lia).
  assert (0 <= b / 2 ^ 32 < 2 ^ 32) by (split; [apply Z.div_pos | apply Z.div_lt_upper_bound]; lia).
  pose proof (Z.mod_pos_bound a (2 ^ 32) ltac:(lia)). pose proof (Z.mod_pos_bound b (2 ^ 32) ltac:(lia)).
  set (x := a / 2 ^ 32) in *. set (y := a mod 2 ^ 32) in *. set (z := b / 2 ^ 32) in *.
  set (t := b mod 2 ^ 32) in *. clearbody x y z t. clear Ha Hb.
  assert (bound : forall p q, 0 <= p < 2 ^ 32 -> 0 <= q < 2 ^ 32 -> 0 <= p * q <= 18446744065119617025) by
    nia.
  pose proof (bound x z ltac:(assumption) ltac:(assumption)).
  pose proof (bound x t ltac:(assumption) ltac:(assumption)).
  pose proof (bound y z ltac:(assumption) ltac:(assumption)).
  pose proof (bound y t ltac:(assumption) ltac:(assumption)).
  replace ((2 ^ 32 * x + y) * (2 ^ 32 * z + t))
    with (x * z * 2 ^ 64 + (x * t + y * z) * 2 ^ 32 + y * t) by ring.
  set (xz := x * z) in *. set (xt := x * t) in *. set (yz := y * z) in *. set (yt := y * t) in *.
  clearbody xz xt yz yt. unfold word. change (2 ^ 64) with 18446744073709551616 in *.
  change (2 ^ 32) with 4294967296 in *. Z.div_mod_to_equations. lia.
Qed.

(** The product of two words is never more than the smaller times the larger. *)
Lemma multiply_high_bounds (a b : Z) : is_word a -> is_word b ->
  multiply_high a b * 2 ^ 64 <= a * b < multiply_high a b * 2 ^ 64 + 2 ^ 64 /\ 0 <= multiply_high a b <= a /\
  multiply_high a b <= b.
Proof.
  intros Ha Hb. rewrite multiply_high_is_the_upper_word by assumption. unfold is_word in *.
  pose proof (Z.div_mod (a * b) (2 ^ 64) ltac:(lia)). pose proof (Z.mod_pos_bound (a * b) (2 ^ 64)
    ltac:(lia)).
  repeat split; try lia; nia.
Qed.

(** ** Reals *)

(** `Fixed`: a whole part and a fraction; in units of [2^-64] it is one integer. *)
Definition fixed : Type := Z * Z.
Definition units (x : fixed) : Z := fst x * 2 ^ 64 + snd x.
Definition is_fixed (x : fixed) : Prop := is_signed (fst x) /\ is_word (snd x).

(** `reals.add`, `reals.negate`, `reals.subtract` and `reals.less`. *)
Definition add (a b : fixed) : fixed :=
  let fraction := word (snd a + snd b) in
  let carry := if fraction <? snd a then 1 else 0 in
  (signed (signed (fst a + fst b) + carry), fraction).
Definition subtract (a b : fixed) : fixed :=
  let borrow := if snd a <? snd b then 1 else 0 in
  (signed (signed (fst a - fst b) - borrow), word (snd a - snd b)).
Definition negate (x : fixed) : fixed :=
  let borrow := if snd x =? 0 then 0 else 1 in
  (signed (signed (- fst x) - borrow), word (word (-1 - snd x) + 1)).
Definition less (a b : fixed) : bool := (fst a <? fst b) || ((fst a =? fst b) && (snd a <? snd b)).

Ltac words := unfold is_fixed, is_word, is_signed, units, signed, word in *; cbn [fst snd] in *;
  change (2 ^ 64) with 18446744073709551616 in *; change (2 ^ 63) with 9223372036854775808 in *;
  change (2 ^ 32) with 4294967296 in *; change (2 ^ 31) with 2147483648 in *.

Theorem add_is_exact (a b : fixed) : is_fixed a -> is_fixed b ->
  - 2 ^ 127 <= units a + units b < 2 ^ 127 -> units (add a b) = units a + units b /\ is_fixed (add a b).
Proof.
  destruct a as [p f], b as [q g]. unfold add. words. change (2 ^ 127) with
    170141183460469231731687303715884105728.
  intros Ha Hb H. destruct (Z.ltb_spec ((f + g) mod 18446744073709551616) f); Z.div_mod_to_equations; lia.
Qed.

Theorem subtract_is_exact (a b : fixed) : is_fixed a -> is_fixed b ->
  - 2 ^ 127 <= units a - units b < 2 ^ 127 ->
  units (subtract a b) = units a - units b /\ is_fixed (subtract a b).
Proof.
  destruct a as [p f], b as [q g]. unfold subtract. words.
  change (2 ^ 127) with 170141183460469231731687303715884105728.
  intros Ha Hb H. destruct (Z.ltb_spec f g); Z.div_mod_to_equations; lia.
Qed.

Theorem negate_is_exact (x : fixed) : is_fixed x -> - 2 ^ 127 < units x ->
  units (negate x) = - units x /\ is_fixed (negate x).
Proof.
  destruct x as [p f]. unfold negate. words. change (2 ^ 127) with 170141183460469231731687303715884105728.
  intros Hx H. destruct (Z.eqb_spec f 0); Z.div_mod_to_equations; lia.
Qed.

Theorem less_compares_units (a b : fixed) : is_fixed a -> is_fixed b -> less a b = (units a <? units b).
Proof.
  destruct a as [p f], b as [q g]. unfold less. words. intros Ha Hb.
  destruct (Z.ltb_spec p q), (Z.eqb_spec p q), (Z.ltb_spec f g); cbn; symmetry;
    (apply Z.ltb_lt || apply Z.ltb_ge); lia.
Qed.

(** ** `_times`: an integer times a number below one, in three digits *)

Definition times (n : Z) (digits : list Z) : fixed :=
  let first := signed (n * nth 0 digits 0) in
  let second := signed (n * nth 1 digits 0) in
  let third := signed (n * nth 2 digits 0) in
  let low := signed (second + Z.shiftr (signed (third + 2 ^ (DIGIT_BITS - 1))) DIGIT_BITS) in
  let high := signed (Z.land first DIGIT_MASK + Z.shiftr low DIGIT_BITS) in
  let fraction := Z.lor (signed (Z.shiftl high DIGIT_BITS)) (Z.land low DIGIT_MASK) in
  (signed (Z.shiftr first DIGIT_BITS + Z.shiftr high DIGIT_BITS), word fraction).

Theorem times_is_rounded_once (n a b c : Z) : - 2 ^ 31 <= n < 2 ^ 31 ->
  0 <= a < 2 ^ 32 -> 0 <= b < 2 ^ 32 -> 0 <= c < 2 ^ 32 ->
  let made := times n [a; b; c] in let exact := n * ((a * 2 ^ 32 + b) * 2 ^ 32 + c) in
  is_fixed made /\ - 2 ^ 31 <= exact - units made * 2 ^ 32 < 2 ^ 31 /\ - 2 ^ 32 <= fst made <= 2 ^ 32.
Proof.
  intros Hn Ha Hb Hc. cbv zeta. unfold times, DIGIT_BITS. cbn [nth].
  rewrite !mask_is_remainder, !right_is_quotient, left_is_product by lia.
  assert (bound : forall d, 0 <= d < 2 ^ 32 -> - 2 ^ 63 + 2 ^ 31 <= n * d <= 2 ^ 63 - 2 ^ 32 - 2 ^ 31 + 1)
    by nia.
  pose proof (bound a Ha). pose proof (bound b Hb). pose proof (bound c Hc).
  replace (n * ((a * 2 ^ 32 + b) * 2 ^ 32 + c)) with (n * a * 2 ^ 64 + n * b * 2 ^ 32 + n * c) by ring.
  set (x := n * a) in *. set (y := n * b) in *. set (z := n * c) in *. clearbody x y z. clear bound.
  rewrite (signed_small x), (signed_small y), (signed_small z) by (words; lia).
  change (2 ^ (32 - 1)) with (2 ^ 31). rewrite (signed_small (z + 2 ^ 31)) by (words; lia).
  rewrite (signed_small (y + _)) by (words; Z.div_mod_to_equations; lia).
  set (low := y + (z + 2 ^ 31) / 2 ^ 32).
  assert (low_range : - 2 ^ 63 <= low < 2 ^ 63) by (subst low; words; Z.div_mod_to_equations; lia).
  rewrite (signed_small (x mod 2 ^ 32 + low / 2 ^ 32)) by (words; Z.div_mod_to_equations; lia).
  set (high := x mod 2 ^ 32 + low / 2 ^ 32).
  assert (high_range : - 2 ^ 31 <= high < 2 ^ 33).
  { subst high. change (2 ^ 33) with 8589934592. words. Z.div_mod_to_equations. lia. }
  rewrite (signed_small (x / 2 ^ 32 + high / 2 ^ 32)).
  2: { change (2 ^ 33) with 8589934592 in *. words. Z.div_mod_to_equations. lia. }
  assert (wrapped : exists k, signed (high * 2 ^ 32) = (high + k * 2 ^ 32) * 2 ^ 32).
  { exists (- ((high * 2 ^ 32 + 2 ^ 63) / 2 ^ 64)). unfold signed. clear. words. Z.div_mod_to_equations.
    lia. }
  destruct wrapped as [k ->]. rewrite or_is_sum by (apply Z.mod_pos_bound; lia).
  assert (fraction : word ((high + k * 2 ^ 32) * 2 ^ 32 + low mod 2 ^ 32)
                     = high mod 2 ^ 32 * 2 ^ 32 + low mod 2 ^ 32).
  { symmetry. apply Z.mod_unique with (q := high / 2 ^ 32 + k).
    - left. pose proof (Z.mod_pos_bound high (2 ^ 32) ltac:(lia)).
      pose proof (Z.mod_pos_bound low (2 ^ 32) ltac:(lia)). lia.
    - pose proof (Z.div_mod high (2 ^ 32) ltac:(lia)). lia. }
  rewrite fraction. clear fraction. change (2 ^ 33) with 8589934592 in *.
  assert (whole : x / 2 ^ 32 * 2 ^ 64 + high / 2 ^ 32 * 2 ^ 64 + high mod 2 ^ 32 * 2 ^ 32 + low mod 2 ^ 32
                  = x * 2 ^ 32 + low).
  { subst high. clear. words. Z.div_mod_to_equations. lia. }
  assert (rounding : - 2 ^ 31 <= y * 2 ^ 32 + z - low * 2 ^ 32 < 2 ^ 31).
  { subst low. clear. words. Z.div_mod_to_equations. lia. }
  assert (x_range : - 2 ^ 31 <= x / 2 ^ 32 < 2 ^ 31) by (words; clear whole rounding; clearbody low high;
    Z.div_mod_to_equations; lia).
  clearbody low high. clear k. words. repeat split; try lia; clear rounding; Z.div_mod_to_equations; lia.
Qed.

(** ** `_shift_down`: a division by a power of two, rounded to nearest *)

Definition shift_down (w by_ : Z) : Z :=
  word (Z.shiftr w by_ + Z.land (Z.shiftr (word (Z.shiftl w 1)) by_) 1).

Theorem shift_down_by_none (w : Z) : is_word w -> shift_down w 0 = w.
Proof.
  intros Hw. unfold shift_down. rewrite !Z.shiftr_0_r, left_is_product by lia.
  rewrite (Z.land_ones _ 1) by lia. replace (word (w * 2 ^ 1) mod 2 ^ 1) with 0.
  - rewrite Z.add_0_r. apply word_small, Hw.
  - symmetry. words. change (2 ^ 1) with 2. Z.div_mod_to_equations. lia.
Qed.

Theorem shift_down_is_nearest (w by_ : Z) : is_word w -> 1 <= by_ <= 63 ->
  shift_down w by_ = (w / 2 ^ (by_ - 1) + 1) / 2 /\
  - 2 ^ by_ < 2 * (shift_down w by_ * 2 ^ by_ - w) <= 2 ^ by_ /\ is_word (shift_down w by_).
Proof.
  intros Hw Hby. unfold shift_down.
  assert (low_bit : Z.land (Z.shiftr (word (Z.shiftl w 1)) by_) 1 = (w / 2 ^ (by_ - 1)) mod 2).
  { change 1 with (Z.ones 1) at 2. rewrite Z.land_ones, <- !Z.bit0_mod by lia.
    rewrite Z.shiftr_spec by lia. unfold word.
    rewrite Z.mod_pow2_bits_low, Z.shiftl_spec, Z.div_pow2_bits by lia. f_equal. }
  rewrite low_bit, right_is_quotient by lia. clear low_bit.
  assert (two : 2 ^ by_ = 2 ^ (by_ - 1) * 2).
  { replace by_ with (Z.succ (by_ - 1)) at 1 by lia. rewrite Z.pow_succ_r by lia. ring. }
  assert (half_range : 1 <= 2 ^ (by_ - 1)) by (apply (Z.pow_le_mono_r 2 0); lia).
  rewrite two, <- Z.div_div by lia.
  assert (y_range : 0 <= w / 2 ^ (by_ - 1) < 2 ^ 64).
  { split; [apply Z.div_pos; words; lia|]. apply Z.div_lt_upper_bound; words; nia. }
  pose proof (Z.div_mod w (2 ^ (by_ - 1)) ltac:(lia)) as divided.
  pose proof (Z.mod_pos_bound w (2 ^ (by_ - 1)) ltac:(lia)).
  set (half := 2 ^ (by_ - 1)) in *. set (y := w / half) in *. set (rest := w mod half) in *.
  clearbody half y rest. rewrite word_small by (words; Z.div_mod_to_equations; lia).
  assert (same : y / 2 + y mod 2 = (y + 1) / 2) by (Z.div_mod_to_equations; lia).
  rewrite same. assert (cases : 2 * ((y + 1) / 2) = y \/ 2 * ((y + 1) / 2) = y + 1)
    by (Z.div_mod_to_equations; lia).
  repeat split; try (words; Z.div_mod_to_equations; lia); destruct cases; nia.
Qed.
