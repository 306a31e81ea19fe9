"""A classical baseline: a segmenter of thresholds, morphology and a prior, without a network.

It answers why a U-Net, when thresholds would do. What it is made of is OpenCV's: thresholds (Otsu,
k-means), morphology, watershed, template matching. A search over the training cases chooses, for
each structure, what scores best; each case is judged by a prior that its patient is not part of.
"""
