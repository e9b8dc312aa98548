"""Words for settings that people bring from other programs or commands, and what this one calls them."""

import re

LENGTH = "kimg={}: thousands of training images, so epochs x images / 1000 or steps x batch_size / 1000"
ADVICE = {  # the words, without _ and -: what to write here; {} is the value
    ("epochs", "maxepochs", "numepochs", "nepochs", "nepoch"): LENGTH.format("N"),
    ("steps", "maxsteps", "numsteps", "iterations", "iters", "niter", "maxiter", "numiterations"): LENGTH.format("N"),
    ("lr", "learningrate"): "optimizer.lr={}",
    ("lrd", "dlr"): "+optimizers.discriminator.lr={}",
    ("lrg", "glr"): "+optimizers.generator.lr={}",
    ("beta1", "betas"): "optimizer.betas=[B1,B2]",
    ("optim", "optimiser"): "optimizer={}",
    ("weightdecay", "wd"): "optimizer.weight_decay={}",
    ("batch", "bs", "batchsize", "minibatch"): "batch_size={}",
    ("gpus", "ngpu", "ngpus", "numgpus"): "trainer.devices={}",
    ("gpu", "gpuid", "gpuids"): "trainer.devices=[{}]",
    ("device", "accelerator", "cuda"): "trainer.accelerator=gpu, cpu or auto",
    ("precision", "amp", "fp16", "bf16", "mixedprecision"): "trainer.precision=auto, 32-true, 16-mixed or bf16-mixed",
    ("dataset", "dataname"): "data={}",
    ("dataroot", "datadir", "datapath", "datasetpath"): "data=folder data.root={}",
    ("imagesize", "imgsize", "imsize", "resolution", "cropsize", "loadsize"): "data.size={}",
    ("nz", "latentdim", "latentsize", "zdim", "noisedim"): "model.z_dim={}",
    ("ngf", "ndf", "basechannels"): "network.width={}",
    ("ncritic", "dsteps", "diters", "ndis"): "model.d_steps={}",
    ("gamma", "lambdagp", "gpweight"): "regularizer=NAME and regularizer.NAME.weight={}",
    ("arch", "architecture", "net", "backbone"): "network={}",
    ("ganmode", "losstype", "objective", "advloss"): "loss={}",
    ("output", "out", "outdir", "outputdir", "outputpath", "savedir", "savepath", "logdir", "expname", "runname"): (
        "folder={}"
    ),
    ("ckpt", "pretrained", "resumefrom", "load"): "init_from={}, or to go on: ganrun resume RUN",
    ("saveevery", "savefreq", "saveinterval", "checkpointevery"): "checkpoint.kimg={}",
    ("sampleinterval", "sampleevery", "savesampleevery"): "pictures_kimg={}",
    ("evalevery", "evalinterval", "valcheckinterval"): "validate_kimg={}",
    ("randomseed", "manualseed"): "seed={}",
    ("workers", "numworkers", "ncpu"): "nothing: data that fit are kept in memory, and no worker is needed",
}
COUNT = ("n", "num", "count", "samples", "numsamples", "nsamples", "numimages", "nimages", "images")
OUTPUT = ("output", "outdir", "outputdir", "outputpath", "savedir", "savepath", "folder")
PLACE = ("gpu", "gpus", "gpuid", "accelerator", "cuda")
DEVICE = {PLACE: "device=auto, cpu, cuda or mps"}
WHICH = {("ckpt", "checkpoint", "weights"): "which=last or which=best"}
ADVICE_OF_COMMAND = {  # of the commands that use a trained model
    "sample": {COUNT: "n={}", OUTPUT: "out={}", ("format", "type"): "as=grid, as=folder or as=npz", **DEVICE, **WHICH},
    "look": {
        OUTPUT: "out={}",
        ("interpolate", "interpolation", "lerp", "slerp"): "path=[0,1,2]",
        ("gif", "video", "animate"): "as=gif, and film=true",
        ("traverse", "traversal", "direction", "sefa"): "code=sefa0",
        ("images", "source", "reconstruct", "project", "target"): "input={}",
        ("nearest", "knn", "k"): "neighbours={}",
        ("iterations", "steps", "numsteps"): "updates={}",
        **DEVICE,
        **WHICH,
    },
    "eval": {COUNT: "samples={}", **DEVICE, **WHICH},
    "quiz": {COUNT: "n={}", **DEVICE, **WHICH},
    "translate": {OUTPUT: "out={}", ("source", "inputdir"): "input={}", ("direction",): "to=a or to=b"}
    | DEVICE
    | WHICH,
    "export": {OUTPUT: "out={}", ("as", "type"): "format=safetensors, format=torchscript or format=onnx", **WHICH},
}


def find_own_word(verb: str, key: str, value: str) -> str:
    """Return what to write for `key=value` of another program, "" if that is unknown: epochs, lr, --batch-size."""
    words = ADVICE if verb in ("train", "resume") else ADVICE_OF_COMMAND.get(verb, {})
    key = re.sub("[-_.]", "", key.lower())
    return next((advice.format(value or "VALUE") for names, advice in words.items() if key in names), "")
