{
  lib,
  stdenv,
  cmake,
  curl,
  glslang,
  gumbo,
  jansson,
  libarchive,
  libavif,
  libexif,
  libheif,
  libjpeg,
  libjxl,
  libmicrohttpd,
  libpq,
  libspng,
  libtiff,
  libwebp,
  libzip,
  ninja,
  openssl,
  patchelf,
  pkg-config,
  sqlite,
  stb,
  utf8proc,
  vulkan-headers,
  vulkan-loader,
  xxHash,
  zlib,
}:

stdenv.mkDerivation {
  pname = "vkclip";
  version = "0.1.0";
  src = lib.cleanSourceWith {
    src = ../..;
    filter = path: type: !(lib.hasPrefix "build" (baseNameOf path) && type == "directory");
  };

  nativeBuildInputs = [
    cmake
    glslang
    ninja
    patchelf
    pkg-config
  ];
  buildInputs = [
    curl
    gumbo
    jansson
    libarchive
    libavif
    libexif
    libheif
    libjpeg
    libjxl
    libmicrohttpd
    libpq
    libspng
    libtiff
    libwebp
    libzip
    openssl
    sqlite
    stb
    utf8proc
    vulkan-headers
    xxHash
    zlib
  ];
  cmakeFlags = [
    "-DVKCLIP_BUILD_BENCH=OFF"
    "-DVKCLIP_BUILD_TESTS=OFF"
    "-DVKCLIP_SHARED_COMMAND=ON"
  ];

  # The library opens the Vulkan loader while it runs.
  postFixup = lib.optionalString stdenv.hostPlatform.isLinux ''
    patchelf --add-rpath ${lib.getLib vulkan-loader}/lib $out/lib/libvkclip.so
  '';

  meta = {
    description = "CLIP image and text models on Vulkan compute";
    license = lib.licenses.mit;
    mainProgram = "vkclip";
    platforms = lib.platforms.littleEndian;
  };
}
