(** `exp` of convergence_jax/exact/exp_ln.py on words of 64 bits, with the tables of the code.

    Proved here, over the integers: no word of the computation wraps around (but the fraction of `t`, which is
    meant to), the mantissa has its leading one on top, also where it comes closest to [2^64], and every
    rounding on the way lies between stated bounds. ExpError.v draws the relative error from these. *)
From Coq Require Import ZArith List Lia.
From Convergence Require Import Constants FixedReals Tables.
Import ListNotations.
Open Scope Z_scope.

(** `RANGE_BITS` of exp_ln.py. *)
Definition RANGE_BITS : Z := 31.

(** `_polynomial` by Horner's rule from the last coefficient down, with the sign plus. *)
Definition polynomial (t : Z) (coefficients : list Z) : Z :=
  match rev coefficients with
  | [] => 0
  | last :: others => fold_left (fun total c => word (c + multiply_high t total)) others last
  end.

(** `exp`, in three steps: [x / ln 2]; the mantissa of two to the power of a fraction; both. *)
Definition clip (x : Z) : Z := Z.max (- 2 ^ RANGE_BITS) (Z.min x (2 ^ RANGE_BITS - 1)).
Definition power_by (digits : list Z) (rounded : Z) (x : fixed) : fixed :=
  let whole := clip (fst x) in
  let power := add (whole, snd x) (times whole digits) in
  add power (0, multiply_high (snd x) rounded).
Definition power_of : fixed -> fixed := power_by LOG2E_DIGITS LOG2E.
Definition mantissa_of (base t : Z) : Z :=
  let growth := multiply_high base (multiply_high t (polynomial t EXP_COEFFICIENTS)) in
  word (base + Z.shiftr (word (growth + 128)) 8).
Definition exp_word (x : fixed) : Z * Z :=
  let power := power_of x in
  let t := word (Z.shiftl (snd power) 8) in
  let base := nth (Z.to_nat (Z.shiftr (snd power) 56)) EXP_TABLE 0 in
  (fst power, mantissa_of base t).

(** The code's promise about zero: its exponential is exactly one. *)
Theorem exp_of_zero_is_one : exp_word (0, 0) = (0, 2 ^ 63).
Proof. vm_compute. reflexivity. Qed.

(** ** [x / ln 2] *)

Definition power_is_near (digits rounded : Z) (x power : fixed) : Prop :=
  exists rest, 0 <= rest <= 2 ^ 64 /\ is_fixed power /\ - 2 ^ 33 <= fst power <= 2 ^ 33 /\
  let exact := (units x * 2 ^ 32 + fst x * digits) * 2 ^ 32 + snd x * rounded in
  - 2 ^ 63 <= exact - units power * 2 ^ 64 - rest <= 2 ^ 63.

Lemma power_by_is_near (a b c rounded : Z) (x : fixed) :
  0 <= a < 2 ^ 32 -> 0 <= b < 2 ^ 32 -> 0 <= c < 2 ^ 32 -> is_word rounded ->
  is_fixed x -> - 2 ^ RANGE_BITS <= fst x < 2 ^ RANGE_BITS ->
  power_is_near (of_digits [a; b; c]) rounded x (power_by [a; b; c] rounded x).
Proof.
  destruct x as [n f]. unfold RANGE_BITS. intros Ha Hb Hc Hrounded [_ Hf] Hn. cbn [fst snd] in *.
  unfold power_is_near, power_by. cbn [fst snd]. replace (clip n) with n by (unfold clip, RANGE_BITS; lia).
  destruct (multiply_high_bounds f rounded Hf Hrounded) as (high & [more_positive more_small] & _).
  pose proof (times_is_rounded_once n a b c Hn Ha Hb Hc) as made. cbv zeta in made.
  destruct made as (made_fixed & made & made_range).
  replace (of_digits [a; b; c]) with ((a * 2 ^ 32 + b) * 2 ^ 32 + c) by (unfold of_digits; cbn [fold_left];
    ring).
  generalize dependent (times n [a; b; c]). generalize dependent (multiply_high f rounded).
  intros more high more_positive more_small scaled made_fixed made made_range.
  assert (x_fixed : is_fixed (n, f)) by (split; [unfold is_signed; cbn; lia | exact Hf]).
  assert (more_fixed : is_fixed (0, more)) by (split; unfold is_signed, is_word in *; cbn; lia).
  destruct (add_is_exact (n, f) scaled x_fixed made_fixed) as [sum sum_fixed].
  { clear made. unfold units, is_fixed, is_word in *. cbn [fst snd] in *. lia. }
  generalize dependent (add (n, f) scaled). intros power sum sum_fixed.
  assert (sum_range : - 2 ^ 100 <= units power <= 2 ^ 100).
  { rewrite sum. clear made. unfold units, is_fixed, is_word in *. cbn [fst snd] in *. lia. }
  destruct (add_is_exact power (0, more) sum_fixed more_fixed) as [total total_fixed].
  { clear made. unfold units, is_fixed, is_word in *. cbn [fst snd] in *. lia. }
  generalize dependent (add power (0, more)). intros result total total_fixed.
  exists (f * rounded - more * 2 ^ 64). split; [lia|]. split; [exact total_fixed|]. split.
  - clear made. destruct total_fixed as [_ total_word], made_fixed as [_ made_word]. clear sum_range.
    change (2 ^ 33) with 8589934592. words. lia.
  - rewrite total, sum. change (units (0, more)) with (0 * 2 ^ 64 + more). clear - made. lia.
Qed.

Theorem power_is_rounded_as_stated (x : fixed) :
  is_fixed x -> - 2 ^ RANGE_BITS <= fst x < 2 ^ RANGE_BITS ->
  power_is_near (of_digits LOG2E_DIGITS) LOG2E x (power_of x).
Proof. apply power_by_is_near; unfold is_word, LOG2E; lia. Qed.

(** ** The polynomial: [p], with the products that it rounds down *)

(** [q] is [c + a * b / 2^64] rounded down. *)
Definition is_step (a b c q : Z) : Prop := (q - c) * 2 ^ 64 <= a * b < (q - c) * 2 ^ 64 + 2 ^ 64.

Lemma a_step_is_rounded_down (t total c : Z) : is_word t -> is_word total -> 0 <= c -> c + total < 2 ^ 64 ->
  let made := word (c + multiply_high t total) in
  is_step t total c made /\ c <= made <= c + total.
Proof.
  intros Ht Htotal Hc room. destruct (multiply_high_bounds t total Ht Htotal) as (high & low & small).
  cbv zeta. rewrite word_small by (unfold is_word in *; lia). unfold is_step. lia.
Qed.

Definition horner_is_near (t : Z) (c : nat -> Z) (h1 : Z) : Prop :=
  exists h2 h3 h4 h5, is_step t (c 6%nat) (c 5%nat) h5 /\ is_step t h5 (c 4%nat) h4 /\
  is_step t h4 (c 3%nat) h3 /\ is_step t h3 (c 2%nat) h2 /\ is_step t h2 (c 1%nat) h1.

Lemma horner_is_rounded_down (t c1 c2 c3 c4 c5 c6 : Z) : is_word t -> 0 <= c1 -> 0 <= c2 -> 0 <= c3 ->
  0 <= c4 -> 0 <= c5 -> 0 <= c6 -> c1 + c2 + c3 + c4 + c5 + c6 < 2 ^ 64 ->
  let made := polynomial t [c1; c2; c3; c4; c5; c6] in
  horner_is_near t (fun n => nth (n - 1) [c1; c2; c3; c4; c5; c6] 0) made /\ is_word made.
Proof.
  intros Ht H1 H2 H3 H4 H5 H6 room. unfold polynomial, horner_is_near. cbn [rev app fold_left nth Nat.sub].
  assert (step : forall c h, 0 <= c -> 0 <= h -> c + h < 2 ^ 64 ->
    is_step t h c (word (c + multiply_high t h)) /\ c <= word (c + multiply_high t h) <= c + h).
  { intros c h Hc Hh sum. apply a_step_is_rounded_down; unfold is_word; trivial; lia. }
  destruct (step c5 c6) as [near5 range5]; [lia..|]. set (h5 := word (c5 + multiply_high t c6)) in *.
  destruct (step c4 h5) as [near4 range4]; [lia..|]. set (h4 := word (c4 + multiply_high t h5)) in *.
  destruct (step c3 h4) as [near3 range3]; [lia..|]. set (h3 := word (c3 + multiply_high t h4)) in *.
  destruct (step c2 h3) as [near2 range2]; [lia..|]. set (h2 := word (c2 + multiply_high t h3)) in *.
  destruct (step c1 h2) as [near1 range1]; [lia..|]. split; [exists h2, h3, h4, h5; auto|].
  unfold is_word. lia.
Qed.

Theorem polynomial_is_rounded_as_stated (t : Z) : is_word t ->
  horner_is_near t (fun n => nth (n - 1) EXP_COEFFICIENTS 0) (polynomial t EXP_COEFFICIENTS) /\
  is_word (polynomial t EXP_COEFFICIENTS).
Proof. intros Ht. unfold EXP_COEFFICIENTS. apply horner_is_rounded_down; trivial; lia. Qed.

(** ** The mantissa *)

Lemma multiply_high_grows (a b c d : Z) : is_word a -> is_word b -> is_word c -> is_word d ->
  a <= c -> b <= d -> multiply_high a b <= multiply_high c d.
Proof.
  intros Ha Hb Hc Hd less_a less_b. rewrite !multiply_high_is_the_upper_word by assumption.
  apply Z.div_le_mono; [reflexivity|]. unfold is_word in *. apply Z.mul_le_mono_nonneg; lia.
Qed.

Lemma horner_grows (s t : Z) (coefficients : list Z) (h g : Z) : is_word s -> is_word t -> s <= t ->
  Forall (fun c => 0 <= c) coefficients -> 0 <= h <= g -> g + fold_right Z.add 0 coefficients < 2 ^ 64 ->
  fold_left (fun total c => word (c + multiply_high s total)) coefficients h <=
  fold_left (fun total c => word (c + multiply_high t total)) coefficients g.
Proof.
  intros Hs Ht less all. revert h g. induction all as [|c rest Hc all IH]; intros h g Hh room; [cbn; lia|].
  cbn [fold_left fold_right] in *.
  assert (sum_positive : 0 <= fold_right Z.add 0 rest) by (clear - all; induction all; cbn; lia).
  assert (is_word h /\ is_word g) as [h_word g_word] by (unfold is_word; lia).
  pose proof (multiply_high_grows s h t g Hs h_word Ht g_word less ltac:(lia)).
  destruct (multiply_high_bounds s h Hs h_word) as (_ & ? & ?).
  destruct (multiply_high_bounds t g Ht g_word) as (_ & ? & ?).
  rewrite !word_small by (unfold is_word; lia). apply IH; lia.
Qed.

Lemma polynomial_grows (s t : Z) : is_word s -> is_word t -> s <= t ->
  polynomial s EXP_COEFFICIENTS <= polynomial t EXP_COEFFICIENTS.
Proof.
  intros Hs Ht less. unfold polynomial, EXP_COEFFICIENTS. cbn [rev app].
  apply horner_grows; trivial; [repeat constructor; discriminate | lia | cbn [fold_right]; lia].
Qed.

(** The largest fraction of every entry, without wrapping around. *)
Definition last_t : Z := 2 ^ 64 - 2 ^ 8.
Definition entry_has_room (n : nat) : bool :=
  let base := nth n EXP_TABLE 0 in
  let growth := base * (last_t * polynomial last_t EXP_COEFFICIENTS / 2 ^ 64) / 2 ^ 64 in
  (2 ^ 63 <=? base) && (base <? 2 ^ 64) && (growth + 128 <? 2 ^ 64) && (base + (growth + 128) / 2 ^ 8 <? 2 ^
    64).

Lemma entries_have_room : forallb entry_has_room entries = true.
Proof. vm_cast_no_check (eq_refl true). Qed.

Theorem mantissa_is_rounded_as_stated (i f : Z) : 0 <= i < TABLE_STEPS -> 0 <= f < 2 ^ 56 ->
  let t := f * 2 ^ 8 in let base := exp_entry i in let slope := polynomial t EXP_COEFFICIENTS in
  exists p growth, is_step t slope 0 p /\ is_step base p 0 growth /\ 0 <= p /\
  2 ^ 63 <= base < 2 ^ 64 /\ 2 ^ 63 <= mantissa_of base t < 2 ^ 64 /\
  -128 <= growth - (mantissa_of base t - base) * 2 ^ 8 < 128.
Proof.
  intros Hi Hf. cbv zeta. set (t := f * 2 ^ 8).
  pose proof (every_entry _ entries_have_room i Hi) as H. unfold entry_has_room in H.
  rewrite !Bool.andb_true_iff, !Z.leb_le, !Z.ltb_lt in H. set (base := exp_entry i) in *. clearbody base.
  destruct H as [[[base_large base_word] growth_room] room].
  assert (t_word : is_word t) by (subst t; unfold is_word; lia).
  assert (base_is_word : is_word base) by (unfold is_word; lia).
  assert (last_word : is_word last_t) by (unfold last_t, is_word; lia).
  assert (is_word (polynomial t EXP_COEFFICIENTS)) as slope_word.
  { apply polynomial_is_rounded_as_stated, t_word. }
  assert (is_word (polynomial last_t EXP_COEFFICIENTS)) as last_slope_word by (vm_compute; split; congruence).
  pose proof (polynomial_grows t last_t t_word last_word ltac:(subst t; unfold last_t; lia)) as slope_grows.
  pose proof (multiply_high_grows t (polynomial t EXP_COEFFICIENTS) last_t (polynomial last_t
    EXP_COEFFICIENTS)
    t_word slope_word last_word last_slope_word ltac:(subst t; unfold last_t; lia) slope_grows) as p_grows.
  destruct (multiply_high_bounds t (polynomial t EXP_COEFFICIENTS) t_word slope_word) as (p_step & p_low & _).
  destruct (multiply_high_bounds last_t (polynomial last_t EXP_COEFFICIENTS) last_word last_slope_word)
    as (_ & q_low & _).
  rewrite <- (multiply_high_is_the_upper_word last_t) in growth_room, room by assumption.
  set (p := multiply_high t (polynomial t EXP_COEFFICIENTS)) in *.
  set (q := multiply_high last_t (polynomial last_t EXP_COEFFICIENTS)) in *.
  assert (p_word : is_word p) by (unfold is_word in *; lia).
  assert (q_word : is_word q) by (unfold is_word in *; lia).
  pose proof (multiply_high_grows base p base q base_is_word p_word base_is_word q_word ltac:(lia) p_grows).
  rewrite <- (multiply_high_is_the_upper_word base) in growth_room, room by assumption.
  destruct (multiply_high_bounds base p base_is_word p_word) as (growth_step & growth_low & _).
  unfold mantissa_of. fold p. set (growth := multiply_high base p) in *.
  set (largest := multiply_high base q) in *.
  rewrite right_is_quotient, (word_small (growth + 128)) by (unfold is_word; lia).
  assert ((growth + 128) / 2 ^ 8 <= (largest + 128) / 2 ^ 8) by (apply Z.div_le_mono; lia).
  pose proof (Z.div_mod (growth + 128) (2 ^ 8) ltac:(lia)).
  pose proof (Z.mod_pos_bound (growth + 128) (2 ^ 8) ltac:(lia)).
  assert (0 <= (growth + 128) / 2 ^ 8) by (apply Z.div_pos; lia).
  rewrite word_small by (unfold is_word; lia).
  exists p, growth. unfold is_step. lia.
Qed.
