"""Every module has a test file of its name, or a line here that says which file tests it, and why."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: Why a module has no file of its own -> test file -> modules.
ELSEWHERE = {
    'a part that shows only in the rendered picture': {
        'test_mini_night.py': (
            *('cars', 'figures', 'frames', 'furniture', 'geometry', 'ground', 'layout', 'lighting'),
            *('lots', 'materials', 'plants', 'render', 'street', 'traffic', 'vehicles', 'world'),
            'writer',
        ),
    },
    'a table of broken trees tests the examination as a whole, sentence by sentence': {
        'test_examination.py': ('file_checks', 'listing', 'pair_checks'),
        'test_image_facts.py': ('file_facts',),
        'test_unpacking.py': ('targets',),
    },
    'a part of a hook, tested through the hook or a run': {
        'test_bad_data.py': ('batch_labels', 'data_guard_hook'),
        'test_dataset_check_hook.py': ('built_loops',),
        'test_finite_guard_hook.py': ('finite_state', 'host_values', 'step_record'),
        'test_hangs.py': ('loading_limit_hook', 'shared_memory'),
        'test_progress_hook.py': ('progress_text',),
        'test_ranks.py': ('restart_hook',),
        'test_exact_resume_hook.py': ('train_batches',),
        'test_resume_settings.py': ('run_log',),
        'test_safe_stop_parts.py': ('dead_workers', 'rank_consensus', 'stop_signals'),
        'test_signals.py': ('data_workers', 'run_errors', 'safe_stop_hook', 'signal_limit'),
    },
    'a part of a tool, tested through the tool': {
        'test_command_line.py': ('start_together',),
        'test_curriculum_plan.py': ('curriculum_stage',),
        'test_cost.py': ('meta_device',),
        'test_domain_flow.py': ('domain_check',),
        'test_deployment.py': ('deployed_network', 'deployment_formats'),
        'test_night2mmseg.py': ('safetensors_copy',),
        'test_predict.py': ('label_needs', 'prediction_folders'),
        'test_outputs.py': ('record',),
        'test_videos.py': ('cut_videos', 'writing'),
        'test_pseudo_label.py': ('label_settings',),
        'test_label_images.py': ('label_folder',),
        'test_read_settings.py': ('config_overrides', 'config_places'),
        'test_stage_runs.py': ('folder_lock',),
        'test_part_checks.py': ('config_parts',),
        'test_train_test_cli.py': ('numbered_pictures_hook',),
        'test_checkpoint_weights.py': ('checkpoint_match',),
        'test_rename_keys.py': ('weight_conversion',),
        'test_compare.py': ('labelled_scenes',),
        'test_own_data.py': ('own_data_configs',),
    },
    'a part of a data set or sampler, tested through it': {
        'test_draw_sampler.py': ('draw',),
        'test_caching.py': ('cached_image', 'image_cache'),
        'test_rare_classes.py': ('class_pixels',),
        'test_lab_transfer.py': ('cielab',),
    },
    'a part of a metric or submission, tested through it': {
        'test_night_iou_metric.py': ('report',),
    },
    'a part of a segmentor or optimizer, tested through it': {
        'test_adaptation_segmentor.py': ('checkpoint_routing', 'logits_map', 'network_names'),
        'test_ccdistill_segmentor.py': ('component_building', 'features', 'projection_heads'),
        'test_ema_teacher.py': ('frozen_network', 'run_length'),
        'test_joint_optimizer.py': ('joint_constructor',),
        'test_self_training.py': ('hand_over', 'labelled_batches', 'settings'),
        'test_shared_backbone.py': ('tied_tensors',),
        'test_rein_vit.py': ('rein_backbone',),
    },
    'names alone': {'test_formatting.py': ('domains',), 'test_packaging.py': ('version',)},
}


def test_every_module_has_its_tests() -> None:
    tests = {path.name for path in (ROOT / 'tests').rglob('test_*.py')}
    noted = {
        module: file
        for files in ELSEWHERE.values()
        for file, modules in files.items()
        for module in modules
    }
    assert sorted(set(noted.values()) - tests) == []
    modules = {
        path.stem
        for package in ('ccdistill', 'mmseg_ccdistill')
        for path in (ROOT / package).rglob('*.py')
        if path.stem not in ('__init__', '__main__') and f'test_{path.stem}.py' not in tests
    }
    assert (
        sorted(modules - set(noted)) == []
    )  # write test_<module>.py, or say here where it is tested
