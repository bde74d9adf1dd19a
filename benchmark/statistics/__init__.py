"""Is the difference real? Tests, intervals, effect sizes and corrections, without torch.

Every difference is A - B, so a positive one speaks for A. Scores are fractions or points: nothing
here depends on the unit. Sources: Dror et al. 2018 (P18-1128, which test when), Dror et al. 2017
(Q17-1033, several datasets), Dror et al. 2019 (P19-1266, almost stochastic order). How the tests do
in simulations is in `docs/statistics/validity.md`.
"""
