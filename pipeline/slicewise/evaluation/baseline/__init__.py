"""A classical baseline: a segmenter of thresholds, morphology and a prior, without a network.

It shows what a U-Net adds to thresholds. The steps are OpenCV's: thresholds (Otsu, k-means),
morphology, watershed, template matching. A search over the training cases chooses the recipe of
each structure that scores best, each case with a prior of other patients' labels.
"""
