"""Weights from PyTorch to latentflow and back, bit for bit; called by roundtrip-torch.sh.

    roundtrip-torch.py LATENTFLOW FOLDER

Writes files with torch.save (zip and legacy form, pickle protocols 2 to 5), safetensors and numpy
into FOLDER, has `latentflow convert` write each as .pth and as .safetensors, and loads those with
torch.load(weights_only=True) and safetensors.  Ends with status 1 at the first difference.
"""

import argparse
import collections
import pathlib
import subprocess
import sys
import time

import numpy
import safetensors.torch
import torch

DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
    torch.int8, torch.uint8, torch.bool, torch.uint16, torch.uint32, torch.uint64, torch.complex64,
    torch.float8_e4m3fn, torch.float8_e5m2,
]


def random_bits(shape, dtype, generator):
    """A tensor of random bit patterns, NaNs and denormals among them."""
    if dtype == torch.bool:
        return torch.rand(shape, generator=generator) < 0.5
    width = torch.empty(0, dtype=dtype).element_size()
    count = int(numpy.prod(shape, dtype=int))
    raw = torch.randint(0, 256, (count * width,), dtype=torch.uint8, generator=generator)
    return raw.view(dtype).reshape(shape)


def examples():
    g = torch.Generator().manual_seed(0)
    every = {str(d): random_bits((3, 5), d, g) for d in DTYPES}
    base = random_bits((6, 8, 4), torch.float32, g)
    views = {
        'base': base, 'transposed': base.permute(2, 0, 1), 'slice': base[1:5:2, 2:, 1], 'row': base[3],
        'expanded': base[:1, :1].expand(4, 3, 4), 'channels_last':
        random_bits((2, 3, 4, 5), torch.float32, g).contiguous(memory_format=torch.channels_last),
        'scalar': torch.tensor(-0.0), 'empty': torch.empty(0, 7), 'é "quoted"\\\n': torch.ones(2),
    }
    net = torch.nn.Sequential(torch.nn.Linear(64, 96), torch.nn.SiLU(), torch.nn.Linear(96, 8))
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.randn(4, 64, generator=g)).sum().backward()
    optimizer.step()
    checkpoint = {
        'epoch': 3, 'args': argparse.Namespace(lr=1e-4, name='x'), 'model_dict': net.state_dict(),
        'optimizer': optimizer.state_dict(), 'parameters': list(net.parameters()),
    }
    large = collections.OrderedDict(('blocks.%d.weight' % i, torch.randn(512, 1024, generator=g)) for i in range(24))
    return {'types': every, 'views': views, 'checkpoint': checkpoint, 'state_dict': net.state_dict(), 'large': large}


def flattened(value, path=''):
    """Tensors by their slash-joined path."""
    if isinstance(value, torch.Tensor):
        return {path: value.detach()}
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    else:
        return {}
    return {k: t for key, v in items for k, t in flattened(v, '%s/%s' % (path, key) if path else str(key)).items()}


def same(a, b):
    a, b = a.contiguous(), b.contiguous()
    return (a.dtype == b.dtype and a.shape == b.shape
            and bytes(a.reshape(-1).view(torch.uint8).numpy()) == bytes(b.reshape(-1).view(torch.uint8).numpy()))


def compare(name, expected, found):
    if expected.keys() != found.keys():
        sys.exit('%s: other names: %s' % (name, sorted(expected.keys() ^ found.keys())[:5]))
    for key, tensor in expected.items():
        if not same(tensor, found[key]):
            sys.exit('%s: %s differs' % (name, key))
    return len(expected)


def main():
    binary, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    files = {}
    for name, value in examples().items():
        tensors = flattened(value)
        for suffix, options in {
            'pth': {}, 'protocol3.pth': {'pickle_protocol': 3}, 'protocol4.pth': {'pickle_protocol': 4},
            'protocol5.pth': {'pickle_protocol': 5}, 'legacy.pth': {'_use_new_zipfile_serialization': False},
        }.items():
            path = folder / ('%s.%s' % (name, suffix))
            # The legacy form knows no storages without a type.
            if 'legacy' in suffix and name == 'types':
                typed = {k: v for k, v in value.items() if v.dtype not in DTYPES[10:13] + DTYPES[14:]}
                torch.save(typed, path, **options)
                files[path] = flattened(typed)
            else:
                torch.save(value, path, **options)
                files[path] = tensors
        path = folder / ('%s.source.safetensors' % name)
        safetensors.torch.save_file({k: t.contiguous().clone() for k, t in tensors.items()}, path)
        files[path] = tensors
    arrays = {'a': numpy.random.default_rng(0).standard_normal((7, 5)), 'f': numpy.asfortranarray(numpy.eye(4, 6)),
              'b': numpy.arange(5, dtype='>i4')}
    numpy.savez_compressed(folder / 'arrays.npz', **arrays)
    files[folder / 'arrays.npz'] = {k: torch.from_numpy(v.astype(v.dtype.newbyteorder('='))) for k, v in arrays.items()}
    numpy.save(folder / 'stats.npy', {'mu': arrays['a'][0], 'sigma': arrays['a'].T @ arrays['a']}, allow_pickle=True)
    files[folder / 'stats.npy'] = {'mu': torch.from_numpy(arrays['a'][0]),
                                   'sigma': torch.from_numpy(arrays['a'].T @ arrays['a'])}

    tensors = loads = 0
    size = 0
    start = time.time()
    for path, expected in files.items():
        for form, load in {'pth': lambda p: torch.load(p, weights_only=True), 'safetensors': safetensors.torch.load_file}.items():
            out = folder / ('%s.out.%s' % (path.name, form))
            subprocess.run([binary, 'convert', path, '--to', form, '--out', out, '--force'], check=True,
                           stdout=subprocess.DEVNULL)
            tensors += compare('%s as %s' % (path.name, form), expected, load(out))
            loads += 1
            size += out.stat().st_size
    print('%d files of PyTorch %s, safetensors and numpy read here; %d written here read there: %d tensors, '
          '%.0f MB, equal bit for bit (%.1f s)' % (len(files), torch.__version__, loads, tensors, size / 1e6,
                                                   time.time() - start))


if __name__ == '__main__':
    main()
