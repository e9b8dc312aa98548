"""Scores of translated images by what is known of the right ones: their counterparts, or the digits that they show."""

from ganrun.metrics.scores import Score

L1 = Score("l1", better="lower", note="to the true counterpart")
L1_UNTRANSLATED = Score("l1_untranslated", better="", note="of the source to the true counterpart")
DIGIT_ACCURACY = Score("accuracy", better="higher", note="share that still shows the source's digit")
