"""UDAclustering with the published weights from GTA5 to Cityscapes: the method alone; a config adds the segmentor.

The variables have names of their own, because a config lists this file beside that of its segmentor,
and two bases must not share a key.
"""

udaclustering = dict(
    type='UDAClusteringSegmentor',
    cluster_weight=0.02,
    ortho_weight=2.0,
    sparse_weight=0.5,
    square_weight=0.1,
    square_ratio=0.2,
)
udaclustering_domains = ('source_day', 'target_night')
