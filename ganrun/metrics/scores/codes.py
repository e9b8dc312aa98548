"""How well the codes of a model can be read from its samples, and what they have to do with the classes of the data."""

from ganrun.metrics.scores import Score

CODE_RECOVERY = Score("code_recovery", better="higher", note="share of samples whose category the model reads back")
CODE_ERROR = Score("code_error", better="lower", note="root mean squared error of other codes that it reads back")
CODE_AGREEMENT = Score(
    "code_agreement", better="higher", note="share of test images whose category stands for their class"
)
OF_SAMPLES, OF_IMAGES = (CODE_RECOVERY, CODE_ERROR), (CODE_AGREEMENT,)
