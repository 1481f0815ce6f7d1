# SPDX-License-Identifier: MIT
"""Conditioning of diffusion models gives what diffusers gives."""

import json

import numpy as np
import pytest
import vkclip
from test_compat import read_case

PIPELINES = 'conditioning/pipelines/'
FOLDER = 'tests/golden/' + PIPELINES


@pytest.mark.parametrize('family', ['sd1', 'flux'])
def test_reference(device, family):
    with open(FOLDER + family + '/case.json') as file:
        calls = json.load(file)['calls']
    expected = read_case(PIPELINES + family)
    compared = 0
    with vkclip.Conditioner(FOLDER + family, device=device) as conditioner:
        assert conditioner.info.family == family and conditioner.device is device
        for label, call in calls.items():
            found = conditioner.condition(call['prompt'], call.get('negative_prompt'), prompt_2=call.get('prompt_2'),
                                          clip_skip_diffusers=call.get('clip_skip') or 0,
                                          max_sequence_length=call.get('max_sequence_length', 0))
            for name, array in found.tensors.items():
                if f'{label}.{name}' in expected:
                    # The reference data have equal rows once.
                    reference = expected[f'{label}.{name}']
                    np.testing.assert_allclose(array[:len(reference)], reference, atol=1e-4)
                    compared += 1
    assert compared >= len(calls)


def test_prompts(device, model):
    with vkclip.Conditioner([FOLDER + 'sd1'], device=device, identify=True) as conditioner:
        encoder = conditioner.info.encoders[0]
        assert encoder.name == 'clip_l' and encoder.model.text.width == encoder.width and encoder.identity
        result = conditioner.condition(['a (red:1.5) cat'] * 2, 'grey', syntax='a1111', f16=True)
        assert result.tensors['prompt_embeds'].dtype == np.float16
        assert result.tensors['prompt_embeds'].shape == (2, 77, encoder.width)
        assert [usage.negative for usage in result.usage].count(False) == 2 and result.usage[0].rest is None
        prompt = conditioner.tokenize('a (red:1.5) cat', syntax='a1111')
        assert prompt.ids.shape == (1, 77) and set(np.unique(prompt.weights)) == {1, 1.5} and prompt.used < 75
        cut = conditioner.condition('red ' * 200)
        assert cut.usage[0].used > cut.usage[0].available and 'red' in cut.usage[0].rest
        with pytest.raises(vkclip.TextTooLongError):
            conditioner.condition('red ' * 200, strict=True)
        for wrong in ({'prompt_2': ['a', 'b']}, {'syntax': 'webui'}, {'negative_prompt': 'a\0b'}):
            with pytest.raises(ValueError):
                conditioner.condition('a', **wrong)
        with pytest.raises(vkclip.CancelledError):
            conditioner.condition('a', progress=lambda done, total: True)
    with pytest.raises(ValueError, match='conditioner is closed'):
        conditioner.condition('a')
    prompt = model.tokenize_prompt('an (owl:1.3) mine', syntax='a1111', embeddings={'mine': 2})
    assert (prompt.embeddings == 0).sum() == 2 and prompt.special[0, 0] and 1.3 in prompt.weights
    assert list(prompt.vectors[prompt.embeddings == 0]) == [0, 1]
    assert 'sdxl' in vkclip.diffusion_families()
    with pytest.raises(vkclip.Error):
        vkclip.Conditioner(FOLDER + 'sd1', device=device, family='sdxl', loras={'absent.safetensors': 0.5})
