// SPDX-License-Identifier: MIT
// Declarations of the package vkclip. In shapes, N is a number of pictures, M of texts, L of labels, D the width of
// embeddings and T the tokens of a text; arrays are row-major: row i of [N, D] is `array.subarray(i * D, (i + 1) * D)`.

/** The version of libvkclip in the addon. */
export const version: string;
/** The parts and libraries that the addon was built with, separated by spaces. */
export const build: string;

/** What every Error of the library has as its `code`. An aborted call rejects with the signal's reason instead. */
export type ErrorCode =
  | 'VKCLIP_EINVALID' | 'VKCLIP_EMEMORY' | 'VKCLIP_EIO' | 'VKCLIP_EFORMAT' | 'VKCLIP_EUNSUPPORTED'
  | 'VKCLIP_ENODEVICE' | 'VKCLIP_EDEVICE' | 'VKCLIP_EDEVICEMEMORY' | 'VKCLIP_ETOOLONG' | 'VKCLIP_EABSENT'
  | 'VKCLIP_ELOST' | 'VKCLIP_ECANCELLED';

export interface CallOptions {
  /** Aborts the call: before its turn at once, and later when what the device computes at that moment is done. */
  signal?: AbortSignal;
}

export interface ProgressOptions extends CallOptions {
  /** Is told now and then what is done. If it returns true, the call ends with VKCLIP_ECANCELLED. */
  progress?: (done: number, total: number) => unknown;
}

/**
 * Lets the library follow variables of the environment, such as VKCLIP_DEVICE and VKCLIP_CACHE_DIR, as they are now. It
 * is for the whole process: call it before anything else.
 */
export function readEnvironment(): Promise<void>;

export interface DeviceInfo {
  /** Its position in Vulkan's enumeration. */
  index: number;
  name: string;
  type: 'discrete' | 'integrated' | 'virtual' | 'cpu' | 'other';
  driver: string;
  apiVersion: [number, number, number];
  /** Bytes of the largest heap on the device. */
  memory: number;
  /** Optional features that were found and are usable. */
  caps: string[];
  usable: boolean;
  /** What the device lacks if it is not usable. */
  why: string;
  /** Vulkan's deviceUUID in hexadecimal digits. */
  uuid: string;
}

/** Lists the Vulkan devices of this machine. */
export function devices(options?: CallOptions): Promise<DeviceInfo[]>;

export interface DeviceOptions extends CallOptions {
  /** An index or part of a name, several with commas between them, or 'all'. By default the best one. */
  device?: string | number;
  /** The folder for compiled kernels and measurements; '' keeps nothing. By default the user's cache folder. */
  cacheDir?: string | URL;
  /** Threads that prepare pictures; 0: as many as there are processors. */
  threads?: number;
  /** The device and the threads give way to other programs. */
  background?: boolean;
  tune?: 'default' | 'on' | 'off' | 'force';
  skipChecks?: boolean;
  /** Seconds without progress after which the device counts as lost. */
  timeout?: number;
}

/** A Vulkan device, or several that share the work. Calls on one device run one after the other. */
export class Device {
  private constructor();
  static open(options?: DeviceOptions): Promise<Device>;
  readonly infos: DeviceInfo[];
  /** Closes the device and its models when the calls under way have ended. It may be called again. */
  close(): Promise<void>;
}

/** Pixels in memory, rows from the top: those of a canvas (ImageData), or of sharp as `{ data, ...info }`. */
export interface Pixels {
  /** They must not be changed or transferred before the call has ended. */
  data: Uint8Array | Uint8ClampedArray;
  width: number;
  height: number;
  /** 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA; by default as many as `data` has. */
  channels?: number;
  /** Bytes from one row to the next; by default width * channels. */
  stride?: number;
}

/** The path of a file, the bytes of a file, or pixels. */
export type Picture = string | URL | Uint8Array | Pixels;

/** What failed in a call that went on without it. */
export interface Failure extends Error {
  code: ErrorCode;
}

export interface ImageOptions extends ProgressOptions {
  /** false: embeddings are not divided by their norm. */
  normalize?: boolean;
  /** Turns pictures as their EXIF data say. */
  orient?: boolean;
  /** Decodes large JPEGs at a part of their size. */
  fastDecode?: boolean;
  /** A file of more pixels is refused; 0: 89,478,485. */
  maxPixels?: number;
  /** Gets each picture that cannot be read, whose row is NaN. Without it the call rejects. */
  onFailure?: (failure: Failure & { index: number }) => void;
}

export interface TextOptions extends ProgressOptions {
  normalize?: boolean;
  /** false: a text longer than the context rejects with VKCLIP_ETOOLONG instead of being cut. */
  truncate?: boolean;
}

export interface LabelOptions extends ProgressOptions {
  /** Each label takes the place of '{}' in every template, and the embeddings of its texts are averaged. */
  templates?: string | readonly string[];
}

export interface TokenizeOptions extends CallOptions {
  /** T; by default the model's. */
  contextLength?: number;
  truncate?: boolean;
}

export interface TowerInfo {
  width: number;
  layers: number;
  heads: number;
  mlp: number;
  positions: number;
  projection: boolean;
}

export interface ModelInfo {
  family: 'openai' | 'openclip' | 'hf' | '';
  image: TowerInfo | undefined;
  text: TowerInfo | undefined;
  /** Pixels per side. */
  imageSize: number;
  patchSize: number;
  /** T. */
  context: number;
  vocabulary: number;
  /** D. */
  embedDim: number;
  textEmbedDim: number;
  logitScale: number;
  /** Each pair of a picture and a text has a probability of its own, as in SigLIP. */
  sigmoid: boolean;
  logitBias: number;
  imageMean: [number, number, number];
  imageStd: [number, number, number];
  parameters: number;
  weightsBytes: number;
  tokenizer: boolean;
  tokenizerContext: number;
  weightsPath: string;
  weightsType: string;
  tokenizerPath: string;
}

export interface ModelOptions extends ProgressOptions {
  /** A device, or the name or number of one that the model opens and closes; false: none, which is enough to tokenize. */
  device?: Device | string | number | false;
  precision?: 'f32' | 'f16';
  weights?: 'auto' | 'f16' | 'q8' | 'q4';
  compute?: 'f32' | 'f16';
  vocab?: string | URL;
  maxBatch?: number;
  imageSize?: number;
  textEncoder?: string;
  stateDict?: string;
  stream?: boolean;
  /** What messages call a model without a path. */
  name?: string;
  /** The folder of the Hugging Face hub's cache. */
  hubDir?: string | URL;
}

/** A part of an open file, by default all of it. The file may be closed when the model is open. */
export interface FilePart {
  fd: number;
  offset?: number;
  length?: number;
}

/** A CLIP model, which closes itself when nothing refers to it any more. */
export class Model {
  private constructor();
  /**
   * Opens a folder or a file of Hugging Face, OpenCLIP, OpenAI or GGUF, a model of the hub's cache by its name, or one
   * file, best GGUF, as bytes or as a part of an open file. The bytes must not be changed or transferred while the
   * model is open.
   */
  static open(source: string | URL | Uint8Array | FilePart, options?: ModelOptions): Promise<Model>;
  readonly info: ModelInfo;
  readonly device: Device | undefined;
  /** Encodes one picture or several to [N, D]. */
  encodeImage(images: Picture | readonly Picture[], options?: ImageOptions): Promise<Float32Array>;
  /** Encodes one text or several to [M, D]. */
  encodeText(texts: string | readonly string[], options?: TextOptions): Promise<Float32Array>;
  /** Encodes labels to [L, D]. */
  encodeLabels(labels: readonly string[], options?: LabelOptions): Promise<Float32Array>;
  /** Returns the probabilities of labels, [N, L]. What `encodeLabels` gave can take the place of the labels. */
  classify(images: Picture | readonly Picture[], labels: readonly string[] | Float32Array,
           options?: ImageOptions & LabelOptions): Promise<Float32Array>;
  /** Returns the logits [N, M] of normalised embeddings. */
  similarity(imageEmbeds: Float32Array, textEmbeds: Float32Array, options?: CallOptions): Promise<Float32Array>;
  /** Encodes one text or several to token ids [M, T], with padding. */
  tokenize(texts: string | readonly string[], options?: TokenizeOptions): Promise<Int32Array>;
  /** Closes the model, and its device if the model has opened it. It may be called again. */
  close(): Promise<void>;
}

export interface IndexOptions extends CallOptions {
  readOnly?: boolean;
}

export interface IndexInfo {
  path: string;
  files: number;
  pictures: number;
  missing: number;
  failed: number;
  folders: number;
  models: number;
  bytes: number;
}

export interface AddOptions extends CallOptions {
  /** `done` files of `total`; `found` pictures so far, while folders are still searched. */
  progress?: (done: number, total: number, found: number) => unknown;
  thumbnails?: boolean;
  /** Files that failed before are read again although they did not change. */
  retry?: boolean;
  exactDecode?: boolean;
  maxPixels?: number;
}

export interface AddResult {
  indexed: number;
  added: number;
  changed: number;
  moved: number;
  removed: number;
  failed: number;
  encoded: number;
  thumbnails: number;
  /** Those that failed now. */
  failures: (Failure & { path: string })[];
}

/** A text, or a part of a query with a weight, which is negative for what pictures should not show. */
export type QueryPart =
  | string
  | { text: string; weight?: number }
  | { image: string | URL | Uint8Array; weight?: number }
  | { id: number; weight?: number }
  | { embed: Float32Array; weight?: number };

export interface SearchOptions extends ProgressOptions {
  /** The most pictures to give; by default 10. */
  top?: number;
  sort?: 'score' | 'date';
  minScore?: number;
  minZ?: number;
  relative?: number;
  pathGlob?: string;
  /** Seconds since 1970 in local time. */
  after?: number;
  before?: number;
  latitude?: number;
  longitude?: number;
  kilometers?: number;
  camera?: string;
  type?: string;
  minWidth?: number;
  minHeight?: number;
  maxPixels?: number;
}

export interface Hit {
  id: number;
  path: string;
  copies: number;
  /** The cosine of the picture and the query. */
  score: number;
  /** How far the score is above the mean of all pictures, in standard deviations. */
  z: number;
  width: number;
  height: number;
  /** Seconds since 1970 in local time: when it was taken, else when its file was modified. */
  date: number;
  taken: boolean;
  /** Degrees, NaN if unknown. */
  latitude: number;
  longitude: number;
  camera: string;
  format: string;
}

/** An index of pictures in a file or in PostgreSQL. */
export class Index {
  private constructor();
  /** Opens or makes an index: a file, a postgresql:// URI as a string, or by default that in the user's data folder. */
  static open(path?: string | URL, options?: IndexOptions): Promise<Index>;
  info(options?: CallOptions): Promise<IndexInfo>;
  /** Brings the index up to date with files and folders; with [] those that it was given before. */
  add(model: Model, paths: string | URL | readonly (string | URL)[], options?: AddOptions): Promise<AddResult>;
  /** Finds the pictures nearest to a query, the best first. */
  search(model: Model, query: QueryPart | readonly QueryPart[], options?: SearchOptions): Promise<Hit[]>;
  close(): Promise<void>;
}
