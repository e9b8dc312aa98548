"""The names of version 0.1 and those of today. ganrun/config/renames.py applies them.

A line of a table reads `OLD_PARENT NEW_PARENT: NAME OLD_NAME=NEW_NAME ...`; parents are dotted paths below the package
`ganrun`, and - is the package itself.
"""

_MODULES = """
- cli: arguments cli=main completion hydra_errors jobs=hydra_app usage=help
- config: build changes=resume_rules checks=compatibility conf_text=docs job=experiment limits=schema trust
callbacks training.callbacks: cadence checkpointing compiling=compilation curves=loss_curves evaluation
callbacks training.callbacks: guard=nan_guard hparams length profiling progress random_states samples signals
callbacks training.callbacks: together=callback_list
callbacks sweep: pruning
- training: checkpoint checkpoint_io failures=out_of_memory lock record=run_folder verdict=diagnosis
commands cli.commands: compare eval protocol=eval_protocol resume sample score_table=eval sweep
commands cli.commands: train translate
commands training: plan=dry_run summary trained=inference
data data: ahead=batches arrays=cache decoding=decode_all order=shuffle
- -: durations=terminal folders=files
- models: losses schedules
metrics metrics.scores: copies frechet inception_score infinity=fid_infinity intra=intra_fid kid neighbours=nearest
metrics metrics.scores: prdc reading=declarations
metrics metrics: drawing=sampling scores=feature_scores statistics=reference_stats
metrics metrics.extractors: extractors=base inception lenet=base resize weights
models models: average=ema
networks networks: modes=eval_mode
- data: pictures=images
sweep sweep.report: board=ranking report=html results screen=live_table showing=leaderboard
sweep sweep: checks=validate folders=hydra_context start=sweeper
sweep sweep.search: conditions proposals=study samplers space
sweep sweep.executors: launched=hydra_launcher pool=local slurm
turns models.steps: graphs=cuda_graph recording=captured_step replays=graph_replay skipping=skip_nonfinite snapshot
"""
_SYMBOLS = """
build config.build: adversarial=build_model data_module=build_data made=instantiate_optional
callbacks.compiling training.callbacks.compilation: Compiling=Compilation
callbacks.curves training.callbacks.loss_curves: Curves=LossCurves
callbacks.guard training.callbacks.nan_guard: Guard=NanGuard
callbacks.signals training.callbacks.signals: Dropped=WorkDropped
callbacks.together training.callbacks.callback_list: Together=CallbackList
checkpoint training.run_folder: STATUS status=read_status
checkpoint training.checkpoint: find=find_checkpoint read=load_checkpoint
checkpoint_io training.checkpoint_io: write=write_checkpoint
commands.trained training.inference: Trained=TrainedModel data_of=data_for device=select_device
commands.trained training.inference: load=load_trained_model
data.ahead data.batches: made_ahead=prefetch
data.arrays data.cache: Contents=LoadedData Store=CacheWriter build=write_cache place=cache_folder read=open_cache
data.batches data.batches: Batches=TrainingBatches resident=place_on_device
data.celeba data.celeba: centre_square=crop_centre combinations=class_names label=class_index
data.cifar10 data.cifar10: binary_batch=parse_binary_batch contents=read_files python_batch=parse_python_batch
data.decode data.decode: BadPictureError=BadImageError as_array=to_array check_form=check_image_format
data.decode data.decode: fitted=fit_to_size form=resize_images in_mode=convert_mode padded=pad_to_size
data.decode data.decode: plain=to_grey_or_rgb
data.decode data.image_files: pictures_in=find_images
data.digits data.digits: shipped=load_shipped_digits
data.folder data.image_files: found_pictures=require_images
data.module data.module: Endless=EndlessLoader in_proportion=proportional_labels
data.order data.shuffle: Order=EndlessShuffle
data.order seeds: seeded=named_generator
data.stacked data.stacked: Stacked=StackedSource Stacks=StackedImages
data.unpaired_digits data.unpaired_digits: coloured=colour_digits
job config.experiment: Job=Experiment make_job=build_experiment
losses models.losses: full=at_least_float32 of_generator=generator_loss
metrics.copies metrics.scores.copies: Copies=CopyReport look_for=find_copies
metrics.drawing metrics.sampling: Finite=AllFinite apart=isolated_rng counting_device=float64_device
metrics.drawing metrics.sampling: generated=generate_batches or_nan=nan_unless_finite place=rank_and_world
metrics.drawing metrics.sampling: seed_of_scores=scoring_seed
metrics.frechet metrics.scores.frechet: Features=IdentityFeatures
metrics.inception_score metrics.scores.inception_score: never_zero=clamp_logits
metrics.neighbours metrics.scores.nearest: copied=copy_shares nearest=nearest_neighbours
metrics.prdc metrics.scores.prdc: radii=knn_radii
metrics.reading metrics.scores.declarations: better=better_direction
metrics.scores metrics.feature_scores: Kept=FeatureBuffer
metrics.stacked metrics.stacked: floor=perfect_scores law_of=mode_probabilities read_modes=classify_modes
metrics.statistics metrics.score_inputs: Statistics
metrics.statistics metrics.reference_stats: measure=measure_statistics
models.average models.ema: Average=ExponentialMovingAverage
networks.cyclegan networks.cyclegan: normed=with_instance_norm
networks.dcgan networks.dcgan: doublings=smallest_side_and_doublings
networks.init networks.init: normal=normal_ orthogonal=orthogonal_ xavier=xavier_
networks.modes networks.eval_mode: evaluating=eval_mode jointly=forward_batches
pictures data.images: grid=make_grid scatter=plot_points
record training.metric_lines: read_lines=read_metric_lines
record training.run_record: Record=RunRecord
record training.run_folder: make_folder=make_run_folder versions=package_versions
record files: replace_text
seeds seeds: mix=hash_integers
turns.graphs models.steps.cuda_graph: CudaGraphs=CudaGraphCapture
turns.recording models.steps.captured_step: Recording=CapturedStep
turns.replays models.steps.graph_replay: Replays=GraphedSteps
turns.skipping models.steps.skip_nonfinite: Skipping=NonfiniteStepSkipper
verdict training.diagnosis: Verdict=Diagnosis judge=diagnose
"""


def _parse(table: str) -> dict[str, str]:
    """Return {old dotted path: dotted path today}."""
    paths = {}
    for line in table.strip().splitlines():
        parents, _, names = line.partition(": ")
        old_parent, new_parent = parents.split()
        for name in names.split():
            old, _, new = name.partition("=")
            paths[f"{old_parent}.{old}".removeprefix("-.")] = f"{new_parent}.{new or old}".removeprefix("-.")
    return paths


MODULES = _parse(_MODULES)
SYMBOLS = _parse(_SYMBOLS)  # classes and functions that were renamed, or moved apart from their module
SETTINGS = {"model.k": "model.d_steps"}  # old key of a setting of ganrun's own classes: key today
OVERRIDES = {  # old key=value whose key has no namesake: today's, a choice of a config group
    "model.generator_loss=non_saturating": "loss=logistic",
    "model.generator_loss=minimax": "loss=minimax",
}
CALLBACK_STATES = {  # old name of a callback in a checkpoint: its name today
    "Curves": "LossCurves",
    "Guard": "NanGuard",
    "Together": "CallbackList",
}
