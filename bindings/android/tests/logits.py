#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""logits.py COMMAND PICTURES LABELS: classifies the first pictures of the reference data with the first labels.

The logits may differ from those of the reference by 1e-3, as in the tests of the command.
"""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', '..', 'tests', 'cli'))
from cli import EXPECTED, MODEL, read_labels, read_safetensors  # noqa: E402

command, pictures, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
labels = read_labels()
expected = read_safetensors(EXPECTED + '/expected.safetensors')[0]['logits_per_image']
options = [word for label in labels[:count] for word in ('-l', label['name'])]
output = subprocess.run([command, 'classify', '-q', '-m', MODEL, '--template', 'a picture of {}', '--json', *options,
                         '-k', str(count), *[f'{EXPECTED}/{label["file"]}' for label in labels[:pictures]]],
                        check=True, stdout=subprocess.PIPE, text=True).stdout
worst = 0
for number, line in enumerate(output.splitlines()):
    logits = {result['label']: result['logit'] for result in json.loads(line)['results']}
    row = expected.row(number)
    worst = max(worst, *(abs(logits[label['name']] - row[i]) for i, label in enumerate(labels[:count])))
print(f'{number + 1} pictures and {count} labels: logits differ from the reference by {worst:.1e} at most')
sys.exit(number + 1 != pictures or worst > 1e-3)
