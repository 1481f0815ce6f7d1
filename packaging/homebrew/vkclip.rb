class Vkclip < Formula
  desc "CLIP image and text models on Vulkan compute"
  # There is no published address yet: packaging/source.sh makes the file, whose path HOMEBREW_VKCLIP_SOURCE has.
  url "file://#{ENV.fetch("HOMEBREW_VKCLIP_SOURCE", "/tmp/vkclip-0.1.0.tar.xz")}"
  version "0.1.0"
  license "MIT"

  depends_on "cmake" => :build
  depends_on "glslang" => :build
  depends_on "ninja" => :build
  depends_on "pkgconf" => :build
  depends_on "vulkan-headers" => :build

  depends_on "curl"
  depends_on "gumbo-parser"
  depends_on "jansson"
  depends_on "jpeg-turbo"
  depends_on "jpeg-xl"
  depends_on "libarchive"
  depends_on "libavif"
  depends_on "libexif"
  depends_on "libheif"
  depends_on "libmicrohttpd"
  depends_on "libpq"
  depends_on "libspng"
  depends_on "libtiff"
  depends_on "libzip"
  depends_on "openssl@3"
  depends_on "sqlite"
  depends_on "utf8proc"
  depends_on "vulkan-loader"
  depends_on "webp"
  depends_on "xxhash"
  depends_on "zlib"

  on_macos do
    depends_on "molten-vk"
  end

  # Homebrew has no stb: its two headers are compiled into the library.
  resource "stb" do
    url "https://github.com/nothings/stb.git", revision: "31c1ad37456438565541f4919958214b6e762fb4"
  end

  def install
    resource("stb").stage buildpath/"stb"
    args = %W[
      -DStbImage_INCLUDE_DIR=#{buildpath}/stb
      -DVKCLIP_BUILD_BENCH=OFF
      -DVKCLIP_BUILD_TESTS=OFF
      -DVKCLIP_SHARED_COMMAND=ON
    ]
    system "cmake", "-S", ".", "-B", "build", "-G", "Ninja", *args, *std_cmake_args
    system "cmake", "--build", "build"
    system "cmake", "--install", "build"
  end

  test do
    (testpath/"test.c").write <<~C
      #include <stdio.h>
      #include <vkclip.h>
      int main(void) { return puts(vkclip_version()) < 0; }
    C
    system ENV.cc, "test.c", "-I#{include}", "-L#{lib}", "-lvkclip", "-o", "test"
    assert_equal version.to_s, shell_output("./test").strip
    assert_match version.to_s, shell_output("#{bin}/vkclip --version")
  end
end
