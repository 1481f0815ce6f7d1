"""Makes a small vocabulary in RoBERTa's form, and the ids that the library tokenizers gives with it.

usage: make.py FOLDER, in the folder of the project"""
import json, random, sys
from tokenizers import Tokenizer, AddedToken, decoders, pre_tokenizers, processors
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
out = sys.argv[1]
with open('tests/golden/conditioning/tokenizers/t5-small_cases.jsonl') as lines:
    texts = [text for text in [json.loads(line)['text'] for line in lines][::2] if len(text) < 200]
words = ("a photo of the dog cat house red blue green big small old young woman man child on in under over and with tree car "
         "street sea sky night day running standing playing market coffee bicycle mountain river snow 12 2019 3D isn't it's they're "
         "we've I'm you'll he'd").split()
random.seed(7)
corpus = [' '.join(random.choices(words, k=random.randrange(3, 12))) + random.choice(['.', '!', '', ', ok?']) for _ in range(3000)]
corpus += [t for t in texts if len(t) < 300] * 2
special = ['<s>', '<pad>', '</s>', '<unk>']
t = Tokenizer(BPE())
t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
t.train_from_iterator(corpus, BpeTrainer(vocab_size=700, special_tokens=special, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
state = json.loads(t.to_str())['model']
vocab, merges = state['vocab'], [tuple(m) if isinstance(m, list) else tuple(m.split(' ')) for m in state['merges']]
vocab['<mask>'] = len(vocab)
vocab = dict(sorted(vocab.items(), key=lambda i: i[1]))
def build(prefix):
    t = Tokenizer(BPE(vocab=vocab, merges=merges, dropout=None, continuing_subword_prefix='', end_of_word_suffix='', fuse_unk=False))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([AddedToken(s, special=True) for s in special] + [AddedToken('<mask>', lstrip=True, special=True)])
    t.post_processor = processors.RobertaProcessing(('</s>', vocab['</s>']), ('<s>', vocab['<s>']), add_prefix_space=prefix, trim_offsets=True)
    return t
t, p = build(False), build(True)
json.dump(vocab, open(out + '/vocab.json', 'w'), ensure_ascii=False, separators=(',', ':'))
open(out + '/merges.txt', 'w').write('#version: 0.2\n' + ''.join(f'{a} {b}\n' for a, b in merges))
t.save(out + '/tokenizer.json', pretty=False)
extra = ["", " ", "  ", "   a", "a   ", "a  b", "a \n b", "\n\n a", "a\t\tb", "it's They'RE we'd'll 's ''s", " 's", "x'm", "x 'm", "12345 67 ½ Ⅷ ²", "a1b2",
         "<mask>", "a <mask> b", "a  <mask>.", "<s>a</s>", "<pad><unk>x", "<mask", "end</s>", " leading", "trailing ", "nbsp\u00a0a", "a\u3000b", "a\u0085b",
         "a\u200bb", "a\u2028 b", "\x1cx\x1d y", "é e\u0301", "naïve café", "日本語の写真", "a日本 1語", "👩‍👩‍👧 😀😀", "Привет, мир!", "שלום", "ไทย", "...!!!???", " ...", "\ufeffx",
         "a\u0345b", "a\u1680b", "\u180ex", "x\u202fy\u205fz", "A photo of a DOG.", "$5.00, 30%", "_under_score", "https://a.b/c?d=e", "Ġ Ċ", "a\x00b", "\x7f\x80\xa0\xad", "\U00010400\U0001F600\U000E0041"]
seen = set()
with open(out + '/cases.jsonl', 'w') as f:
    for text in extra + texts:
        if text in seen: continue
        seen.add(text)
        ids = t.encode(text).ids; row = {'text': text, 'ids': ids}
        pre = p.encode(text).ids
        if pre != ids: row['ids_prefix_space'] = pre
        row['decoded'] = t.decode(ids)
        f.write(json.dumps(row) + '\n')
print(len(vocab), len(merges), len(seen))
