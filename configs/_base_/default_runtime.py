"""What every run shares: hooks, console, log files, pictures, seed."""

default_scope = 'mmseg'
custom_imports = dict(imports=['mmseg_ccdistill'], allow_failed_imports=False)

env_cfg = dict(
    cudnn_benchmark=True,  # crops have one size
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    # the tools take gloo where there is no GPU; timeout: seconds until a silent process counts as lost
    dist_cfg=dict(backend='nccl', timeout=1800),
)
randomness = dict(seed=0)
runner_type = 'NamedHooksRunner'  # takes None for any named hook

default_hooks = dict(
    runtime_info=dict(type='DeferredInfoHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),  # the log files
    progress=dict(type='RichProgressHook', interval=50),  # the console
    param_scheduler=dict(type='ParamSchedulerHook'),
    # The last checkpoint counts: to choose the best by target labels would not be unsupervised.
    checkpoint=dict(type='AtomicCheckpointHook', by_epoch=False, interval=1000, max_keep_ckpts=3),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'),
    # Guards. A config changes one by its name, default_hooks=dict(safe_stop=dict(stop_timeout=60)),
    # and turns it off with None.
    dataset_check=dict(type='DatasetCheckHook'),
    checkpoint_match=dict(type='CheckpointMatchHook'),
    exact_resume=dict(type='ExactResumeHook'),
    finite_guard=dict(type='FiniteGuardHook'),
    collapse_alarm=dict(type='CollapseAlarmHook'),
    data_guard=dict(type='DataGuardHook'),
    loading_limit=dict(type='LoadingLimitHook'),
    restart=dict(type='RestartHook'),
    safe_stop=dict(type='SafeStopHook'),
)
custom_hooks = []  # for a config's own

log_level = 'INFO'
log_processor = dict(by_epoch=False)
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='SegLocalVisualizer', vis_backends=vis_backends, name='visualizer')

load_from = None
resume = False

tta_model = dict(type='SegTTAModel')  # tools/test.py --tta; tta_pipeline stands with the data
