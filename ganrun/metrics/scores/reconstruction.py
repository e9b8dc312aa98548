"""How well a model finds test images again from their codes."""

from ganrun.metrics.scores import Score

RECONSTRUCTION_L1 = Score("reconstruction_l1", better="lower", note="mean of |x - its reconstruction|, x in [-1, 1]")
RECONSTRUCTION_MSE = Score("reconstruction_mse", better="lower", note="mean of its square")
PSNR = Score("psnr", better="higher", note="10 log10 of 4 / that mean, decibels")
SSIM = Score("ssim", better="higher", note="structural similarity, Wang et al. 2004")
KEPT = Score("kept", better="higher", note="share of reconstructions classified as the image is labelled")
OF_RECONSTRUCTIONS = (RECONSTRUCTION_L1, RECONSTRUCTION_MSE, PSNR, SSIM)
