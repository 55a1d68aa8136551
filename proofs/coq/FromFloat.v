(** `from_float` of convergence_jax/exact/reals.py: a float64 as the nearest multiple of [2^-64].

    Modelled for magnitudes below [2^11], which is all that `LogSumExp` takes; the branches of the code for
    larger ones are not. Proved: it is off by half a unit at most, and nothing wraps around. *)
From Coq Require Import ZArith Reals List Lia Lra.
From Flocq Require Import Core.Raux Core.Zaux.
From Convergence Require Residues.
From Convergence Require Import Constants Floats FixedReals Tables Exp ExpError.
Open Scope Z_scope.

(** What `decode` of reals.py returns, in the fields of Floats.v, of a float of magnitude below [2^11]. *)
Definition held (d : decoded) : Prop :=
  (sign d = 0 \/ sign d = 1) /\ 0 <= mantissa d < 2 ^ 53 /\ 0 <= position d <= 1032.

(** `held` of `_place`: the bits without the sign, against those of [2^11]. *)
Definition is_held (x : Z) : bool := Z.land x (2 ^ 63 - 1) <? Z.shiftl (1023 + 11) 52.

Theorem what_the_code_takes_is_held (x : Z) : is_word x -> is_held x = true -> held (decode64 x).
Proof.
  unfold is_word, is_held, decode64, float64_bits, float64_width. intros Hx small.
  assert (mask : Z.land x (2 ^ 63 - 1) = x mod 2 ^ 63) by exact (Z.land_ones x 63 ltac:(lia)).
  rewrite mask in small. apply Z.ltb_lt in small. rewrite left_is_product in small by lia.
  unfold held. rewrite decode_fields by (unfold pattern; lia). cbn [sign mantissa position].
  assert (exponent_small : (x / 2 ^ 52) mod 2 ^ 11 < 1034) by (clear mask; Z.div_mod_to_equations; lia).
  pose proof (Z.mod_pos_bound (x / 2 ^ 52) (2 ^ 11) ltac:(lia)).
  pose proof (Z.mod_pos_bound x (2 ^ 52) ltac:(lia)).
  destruct (Z.eqb_spec ((x / 2 ^ 52) mod 2 ^ 11) (2 ^ 11 - 1)); [lia|]. cbn [negb].
  split; [destruct (2 ^ 52 * 2 ^ 11 <=? x); auto|].
  split; [destruct (_ =? 0); lia | lia].
Qed.

Definition read (mantissa up : Z) : fixed :=
  let left := Z.max 0 (Z.min up 63) in
  let down := Z.max 0 (Z.min (- up) 54) in
  let kept := Z.shiftr mantissa down in
  let rest := word (mantissa - word (Z.shiftl kept down)) in
  let rises := Z.shiftl 1 down <? word (word (Z.shiftl rest 1) + Z.land kept 1) in
  if up <? 0 then (0, word (kept + if rises then 1 else 0))
  else (Z.shiftr (Z.shiftr mantissa 1) (63 - left), word (Z.shiftl mantissa left)).
Definition from_float (d : decoded) : fixed :=
  let exponent := position d - 1022 in
  let made := read (mantissa d) (exponent + 12) in
  if sign d =? 0 then made else negate made.

(** The real that the float is. *)
Definition real_of (d : decoded) : R := (IZR (integer_of d) * bpow radix2 FLOAT64_lsb)%R.

(** ** Magnitudes *)

Lemma a_large_one_is_exact (m up : Z) : 0 <= m < 2 ^ 53 -> 0 <= up <= 22 ->
  units (read m up) = m * 2 ^ up /\ is_fixed (read m up).
Proof.
  intros Hm Hup. unfold read. replace (Z.max 0 (Z.min up 63)) with up by lia.
  destruct (Z.ltb_spec up 0); [lia|]. rewrite !right_is_quotient, left_is_product by lia.
  rewrite Z.div_div by (try apply Z.pow_pos_nonneg; lia).
  replace (2 ^ 1 * 2 ^ (63 - up)) with (2 ^ (64 - up)) by (rewrite <- Z.pow_add_r by lia; f_equal; lia).
  assert (powers : 2 ^ (64 - up) * 2 ^ up = 2 ^ 64) by (rewrite <- Z.pow_add_r by lia; f_equal; lia).
  assert (positive : 0 < 2 ^ up) by (apply Z.pow_pos_nonneg; lia).
  assert (positive' : 0 < 2 ^ (64 - up)) by (apply Z.pow_pos_nonneg; lia).
  assert (quotient : m / 2 ^ (64 - up) = m * 2 ^ up / 2 ^ 64).
  { rewrite <- powers, Z.div_mul_cancel_r; lia. }
  rewrite quotient. unfold units, word, is_fixed, is_signed, is_word. cbn [fst snd].
  pose proof (Z.div_mod (m * 2 ^ up) (2 ^ 64) ltac:(lia)).
  pose proof (Z.mod_pos_bound (m * 2 ^ up) (2 ^ 64) ltac:(lia)).
  rewrite <- quotient in *. assert (0 <= m / 2 ^ (64 - up) <= m).
  { split; [apply Z.div_pos; lia|]. apply Z.div_le_upper_bound; nia. }
  lia.
Qed.

Lemma a_small_one_is_rounded (m e : Z) : 0 <= m < 2 ^ 53 -> 0 < e <= 54 ->
  - 2 ^ e <= 2 * (units (read m (- e)) * 2 ^ e - m) <= 2 ^ e /\ is_fixed (read m (- e)) /\
  0 <= units (read m (- e)) <= 2 ^ 53.
Proof.
  intros Hm He. unfold read. replace (Z.max 0 (Z.min (- - e) 54)) with e by lia.
  destruct (Z.ltb_spec (- e) 0); [|lia].
  rewrite right_is_quotient, !left_is_product by lia.
  assert (last_bit : forall n, Z.land n 1 = n mod 2) by (intros n; exact (Z.land_ones n 1 ltac:(lia))).
  rewrite last_bit. change (2 ^ 1) with 2. clear last_bit.
  assert (bounds : 2 ^ 1 <= 2 ^ e <= 2 ^ 54) by (split; apply Z.pow_le_mono_r; lia).
  pose proof (Z.div_mod m (2 ^ e) ltac:(lia)) as divided.
  pose proof (Z.mod_pos_bound m (2 ^ e) ltac:(lia)) as rest_range.
  pose proof (Z.mod_pos_bound (m / 2 ^ e) 2 ltac:(lia)) as bit_range.
  assert (kept_range : 0 <= m / 2 ^ e <= m).
  { split; [apply Z.div_pos; lia|]. apply Z.div_le_upper_bound; nia. }
  assert (kept_small : m / 2 ^ e < 2 ^ 52) by (apply Z.div_lt_upper_bound; lia).
  set (kept := m / 2 ^ e) in *. set (p := 2 ^ e) in *.
  assert (back_range : 0 <= kept * p <= m) by lia.
  rewrite (word_small (kept * p)) by (unfold is_word; lia).
  replace (m - kept * p) with (m mod p) by lia. set (rest := m mod p) in *. clearbody kept p rest.
  rewrite (word_small rest), (word_small (rest * 2)), (word_small (rest * 2 + _)) by (unfold is_word; lia).
  unfold units, is_fixed, is_signed, is_word. cbn [fst snd].
  destruct (Z.ltb_spec (1 * p) (rest * 2 + kept mod 2)); rewrite word_small by (unfold is_word; lia);
    repeat split; lia.
Qed.

Lemma a_tiny_one_is_zero (m up : Z) : 0 <= m < 2 ^ 53 -> up < -54 -> read m up = (0, 0).
Proof.
  intros Hm Hup. unfold read. replace (Z.max 0 (Z.min (- up) 54)) with 54 by lia.
  destruct (Z.ltb_spec up 0); [|lia]. rewrite right_is_quotient, !left_is_product by lia.
  rewrite Z.div_small by lia. change (Z.land 0 1) with 0. rewrite Z.mul_0_l. change (word 0) with 0.
  rewrite !Z.sub_0_r, Z.add_0_r. rewrite !(word_small m), !(word_small (m * 2 ^ 1)) by (unfold is_word; lia).
  destruct (Z.ltb_spec (1 * 2 ^ 54) (m * 2 ^ 1)); [lia | reflexivity].
Qed.

(** ** The theorem *)

Open Scope R_scope.

Lemma read_is_near (m up : Z) : (0 <= m < 2 ^ 53)%Z -> (up <= 22)%Z ->
  Rabs (value (read m up) - IZR m * bpow radix2 (up - 64)) <= unit / 2 /\ is_fixed (read m up) /\
  (0 <= units (read m up) < 2 ^ 75)%Z.
Proof.
  intros Hm Hup. unfold value.
  assert (as_unit : bpow radix2 (up - 64) = bpow radix2 up * unit).
  { unfold Zminus. rewrite bpow_plus. f_equal. }
  rewrite as_unit. destruct (Z_lt_le_dec up 0) as [small | large].
  - destruct (Z_lt_le_dec up (-54)) as [tiny | held_bits].
    + rewrite (a_tiny_one_is_zero m up Hm tiny).
      split; [|split; [split; unfold is_signed, is_word; cbn; lia | unfold units; cbn [fst snd]; lia]].
      change (units (0, 0)%Z) with 0%Z.
      assert (power : 0 < bpow radix2 up <= bpow radix2 (-54)) by (split; [apply bpow_gt_0 |
        apply bpow_le; lia]).
      change (bpow radix2 (-54)) with (/ 18014398509481984) in power.
      destruct Hm as [m_low m_high]. apply IZR_le in m_low. apply IZR_lt in m_high.
      change (IZR (2 ^ 53)) with 9007199254740992 in m_high.
      set (b := bpow radix2 up) in *. clearbody b.
      assert (0 <= IZR m * b <= 1 / 2) by (split; nra). apply Rabs_le. lra.
    + replace up with (- (- up))%Z by lia. set (e := (- up)%Z) in *.
      destruct (a_small_one_is_rounded m e Hm ltac:(lia)) as ([low high] & made_fixed & range).
      split; [|split; [assumption | lia]]. rewrite bpow_opp, <- IZR_Zpower by lia.
      change (radix2 ^ e)%Z with (2 ^ e)%Z.
      set (made := units (read m (- e))) in *. clearbody made.
      assert (positive : (0 < 2 ^ e)%Z) by (apply Z.pow_pos_nonneg; lia).
      apply IZR_le in low, high. apply IZR_lt in positive.
      rewrite mult_IZR, minus_IZR, mult_IZR in high. rewrite opp_IZR, mult_IZR, minus_IZR, mult_IZR in low.
      set (p := IZR (2 ^ e)) in *. clearbody p. set (x := IZR m * / p).
      replace (IZR m) with (x * p) in * by (unfold x; field; lra).
      assert (- (1 / 2) <= IZR made - x <= 1 / 2) by (clearbody x; split; nra).
      replace (x * p * (/ p * unit)) with (x * unit) by (field; lra). apply Rabs_le. lra.
  - destruct (a_large_one_is_exact m up Hm ltac:(lia)) as [exact made_fixed]. rewrite exact.
    assert (powers : (1 <= 2 ^ up <= 2 ^ 22)%Z).
    { split; [apply (Z.pow_le_mono_r 2 0) | apply Z.pow_le_mono_r]; lia. }
    split; [|split; [assumption | nia]]. rewrite mult_IZR, <- IZR_Zpower by lia.
    change (radix2 ^ up)%Z with (2 ^ up)%Z. apply Rabs_le. lra.
Qed.

Theorem from_float_is_nearest (d : decoded) : held d ->
  Rabs (value (from_float d) - real_of d) <= unit / 2 /\ is_fixed (from_float d) /\
  (- 2048 <= fst (from_float d) < 2048)%Z.
Proof.
  intros (signs & m_range & p_range). unfold from_float, real_of, integer_of, signed_by.
  destruct (read_is_near (mantissa d) (position d - 1022 + 12) m_range ltac:(lia)) as (near & fixed_ & range).
  assert (same : IZR (mantissa d) * bpow radix2 (position d - 1022 + 12 - 64) =
                 IZR (mantissa d * 2 ^ position d) * bpow radix2 FLOAT64_lsb).
  { rewrite mult_IZR, (IZR_Zpower radix2) by lia. rewrite Rmult_assoc, <- bpow_plus. f_equal. f_equal.
    unfold FLOAT64_lsb. lia. }
  rewrite same in near. clear same.
  set (made := read (mantissa d) (position d - 1022 + 12)) in *. clearbody made.
  destruct (Z.eqb_spec (sign d) 0).
  - split; [exact near|]. split; [exact fixed_|].
    destruct fixed_ as [_ f_range]. unfold units, is_word in *. lia.
  - destruct (negate_is_exact made fixed_) as [exact made_fixed]; [lia|].
    split; [|split; [exact made_fixed|]].
    + unfold value in *. rewrite exact, !opp_IZR. apply Rabs_le_inv in near. apply Rabs_le. lra.
    + destruct made_fixed as [_ f_range]. unfold units, is_word in *. lia.
Qed.
