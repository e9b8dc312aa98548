"""The settings of models, networks, losses and regularizers; part of the table in schema.py."""

from ganrun.config import value_types as types
from ganrun.config.setting import NOT_NEGATIVE, POSITIVE, SHAPE, SHARE, WHOLE_OR_NULL, Setting
from ganrun.config.value_types import COUNT, FLAG, NAME, OBJECT, TABLE, list_of, number, one_of

PENALTIES = {"gradient_penalty": "weight", "dragan": "weight", "consistency": "weight", "r1": "gamma", "r2": "gamma"}
AUGMENTING = ("diffaugment", "ada")
CODE = types.ValueType(
    "a number of values of at least 2, uniform or normal",
    lambda value: value in ("uniform", "normal") or (COUNT.admits(value) and value > 1),
)
MINIBATCH = one_of("standard_deviation", "discrimination", optional=True)
SHARED = ("width", "net.width", "blocks_per_size")  # settings of network sets that become those of one part
OF_AUTOENCODER = ("power", "encoder.width", "encoder.outputs", "decoder.width", "decoder.z_dim")
MODEL_SETTINGS = {
    # model
    "model.z_dim": Setting(COUNT, in_hparams=True),
    "model.classes": Setting(number(least=0, whole=True, optional=True), True, in_hparams=True),
    **{
        f"model.{name}": Setting(OBJECT, True)
        for name in (
            "generator",
            "discriminator",
            "a_to_b",
            "b_to_a",
            "d_a",
            "d_b",
            "loss",
            "reconstructor",
            "encoder",
            "decoder",
            "contrastive",
        )
    },
    "model.regularizers": Setting(TABLE, True),
    "model.d_steps": Setting(COUNT, True, in_hparams=True),
    "model.pack": Setting(COUNT, True, in_hparams=True),
    "model.sigma": Setting(NOT_NEGATIVE, True, in_hparams=True),
    "model.unrolled_steps": Setting(number(least=0, whole=True), True, in_hparams=True),
    "model.components": Setting(COUNT, True, in_hparams=True),
    "model.round_kimg": Setting(POSITIVE, True, in_hparams=True),
    "model.judge_share": Setting(SHARE, True, in_hparams=True),
    "model.n_critic": Setting(COUNT, in_hparams=True),
    "model.c": Setting(POSITIVE, in_hparams=True),
    "model.stall_kimg": Setting(POSITIVE, in_hparams=True),
    "model.side": Setting(number(least=2, most=3, whole=True), True, in_hparams=True),
    "model.permutations": Setting(number(least=2, whole=True, usable=(2, 1000)), True, in_hparams=True),
    **{f"model.{name}": Setting(NOT_NEGATIVE, True, in_hparams=True) for name in ("of_real", "of_fake")},
    "model.weight": Setting(NOT_NEGATIVE, in_hparams=True),
    "model.codes": Setting(TABLE, True),
    "model.codes.*": Setting(CODE, True, in_hparams=True),
    "model.continuous_weight": Setting(NOT_NEGATIVE, True, in_hparams=True),
    "model.ramp_kimg": Setting(NOT_NEGATIVE, True, in_hparams=True),
    **{
        f"model.{name}": Setting(NOT_NEGATIVE, True, in_hparams=True)
        for name in ("contrastive_weight", "begin_kimg", "gap_kimg")
    },
    **{f"model.{name}": Setting(number(least=0, most=2), True, in_hparams=True) for name in ("gap", "gap_end")},
    "model.gamma": Setting(NOT_NEGATIVE, True, in_hparams=True),
    "model.beta": Setting(NOT_NEGATIVE, True, in_hparams=True),
    "model.likelihood": Setting(one_of("bernoulli", "gaussian"), True, in_hparams=True),
    "model.cycle": Setting(NOT_NEGATIVE, in_hparams=True),
    "model.identity": Setting(NOT_NEGATIVE, in_hparams=True),
    "model.pool": Setting(number(least=0, whole=True), in_hparams=True),
    "model.start": Setting(list_of(number(), "two numbers, such as [1.0,1.0]"), in_hparams=True),
    "model.remember": Setting(number(least=1, whole=True, usable=(1, 10**6)), in_hparams=True),
    "model.mixture": Setting(OBJECT),
    "model.mixture.components": Setting(COUNT, True, in_hparams=True),
    "model.mixture.regularization": Setting(POSITIVE, True, in_hparams=True),
    "model.extrapolation": Setting(POSITIVE, in_hparams=True),
    "model.*": Setting(in_hparams=True),
    # network
    **{
        f"network.{name}": Setting(OBJECT) for name in ("generator", "discriminator", "joint", "encoder", "contrastive")
    },
    "network.**.shape": Setting(SHAPE, True),  # these three follow from data and model
    "network.**.z_dim": Setting(COUNT, True),
    "network.**.outputs": Setting(WHOLE_OR_NULL, True),
    "network.**.classes": Setting(number(least=0, whole=True, optional=True), True),
    "network.width": Setting(COUNT, in_hparams=True),
    "network.code": Setting(COUNT, in_hparams=True),
    "network.power": Setting(COUNT, in_hparams=True),
    "network.blocks": Setting(WHOLE_OR_NULL, in_hparams=True),
    **{f"network.{net}.hidden": Setting(types.UNITS, True, in_hparams=True) for net in ("generator", "discriminator")},
    **{f"network.{net}.dropout": Setting(SHARE, True, in_hparams=True) for net in ("generator", "discriminator")},
    **{f"network.{net}.hidden": Setting(types.UNITS, True) for net in ("joint", "encoder")},  # as the discriminator's
    "network.joint.features": Setting(COUNT, True, in_hparams=True),
    "network.joint.net.width": Setting(COUNT, True),
    "network.joint.net.batch_norm": Setting(FLAG, True, in_hparams=True),
    "network.joint.pieces": Setting(COUNT, True),
    "network.joint.dropout": Setting(SHARE, True),
    "network.joint.minibatch": Setting(MINIBATCH, True),
    "network.discriminator.pieces": Setting(COUNT, True, in_hparams=True),
    **{
        f"network.discriminator.{key}": Setting(FLAG, True, in_hparams=True) for key in ("batch_norm", "net.batch_norm")
    },
    "network.discriminator.minibatch": Setting(MINIBATCH, True, in_hparams=True),
    **{f"network.generator.{key}": Setting(COUNT, True, in_hparams=True) for key in SHARED},  # of generator=NAME
    **{f"network.discriminator.{key}": Setting(COUNT, True, in_hparams=True) for key in (*SHARED, *OF_AUTOENCODER)},
    **{f"network.encoder.{key}": Setting(COUNT, True, in_hparams=True) for key in ("width", "net.width")},
    "network.generator.blocks": Setting(WHOLE_OR_NULL, True, in_hparams=True),
    "network.**.width": Setting(COUNT, True, in_hparams=True),
    "network.**.blocks": Setting(WHOLE_OR_NULL, True, in_hparams=True),
    "network.**": Setting(in_hparams=True),
    # loss, regularizers
    **{f"loss.{name}": Setting(number(), True, in_hparams=True) for name in "abc"},
    "loss.m": Setting(POSITIVE, True, in_hparams=True),
    "loss.gamma": Setting(POSITIVE, True, in_hparams=True),
    "loss.rate": Setting(POSITIVE, True, in_hparams=True),
    "loss.**": Setting(in_hparams=True),
    "regularizer.*": Setting(TABLE),
    **{f"regularizer.{name}.every": Setting(COUNT, True, in_hparams=True) for name in PENALTIES},
    **{f"regularizer.{name}.{key}": Setting(NOT_NEGATIVE, True, in_hparams=True) for name, key in PENALTIES.items()},
    "regularizer.gradient_penalty.one_sided": Setting(FLAG, True, in_hparams=True),
    "regularizer.dragan.deviation": Setting(POSITIVE, True, in_hparams=True),
    "regularizer.weight_clamp.c": Setting(POSITIVE, True, in_hparams=True),
    "regularizer.consistency.shift": Setting(types.INDEX, True, in_hparams=True),
    "regularizer.spectral_norm.iterations": Setting(COUNT, True, in_hparams=True),
    **{f"regularizer.{name}.policy": Setting(list_of(NAME, "names, such as [colour]"), True) for name in AUGMENTING},
    "regularizer.diffaugment.share": Setting(number(least=0, most=1), True, in_hparams=True),
    "regularizer.ada.target": Setting(number(), True, in_hparams=True),
    "regularizer.ada.kimg": Setting(POSITIVE, True, in_hparams=True),
    "regularizer.**": Setting(in_hparams=True),
}
