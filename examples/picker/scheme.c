/* SPDX-License-Identifier: MIT
 *
 * Follows the desktop's preference for light or dark, which the portal for settings tells. GTK does
 * so by itself from version 4.20 on.
 */
#include "window.h"

#define PORTAL "org.freedesktop.portal.Desktop"
#define OBJECT "/org/freedesktop/portal/desktop"
#define SETTINGS "org.freedesktop.portal.Settings"
#define APPEARANCE "org.freedesktop.appearance"
#define SCHEME "color-scheme"

enum { PREFER_DARK = 1 };

/* The portal puts the number into one variant or two. */
static void apply_scheme(GVariant *value)
{
    g_autoptr(GVariant) scheme = g_variant_ref(value);
    while (g_variant_is_of_type(scheme, G_VARIANT_TYPE_VARIANT)) {
        GVariant *inner = g_variant_get_variant(scheme);
        g_variant_unref(scheme);
        scheme = inner;
    }
    if (g_variant_is_of_type(scheme, G_VARIANT_TYPE_UINT32))
        g_object_set(gtk_settings_get_default(), "gtk-application-prefer-dark-theme",
                     g_variant_get_uint32(scheme) == PREFER_DARK, NULL);
}

static void on_changed(GDBusConnection *bus, const char *sender, const char *object,
                       const char *interface, const char *signal, GVariant *parameters,
                       gpointer user)
{
    g_autoptr(GVariant) value = NULL;
    const char *space, *key;
    (void)bus, (void)sender, (void)object, (void)interface, (void)signal, (void)user;
    g_variant_get(parameters, "(&s&s@v)", &space, &key, &value);
    if (!strcmp(space, APPEARANCE) && !strcmp(key, SCHEME))
        apply_scheme(value);
}

static void on_read(GObject *bus, GAsyncResult *result, gpointer user)
{
    g_autoptr(GVariant) answer =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, NULL);
    g_autoptr(GVariant) value = NULL;
    (void)user;
    if (answer) {
        g_variant_get(answer, "(@v)", &value);
        apply_scheme(value);
    }
}

static void on_bus(GObject *source, GAsyncResult *result, gpointer user)
{
    GDBusConnection *bus = g_bus_get_finish(result, NULL);
    (void)source, (void)user;
    if (!bus) /* No desktop, no preference. */
        return;
    g_dbus_connection_signal_subscribe(bus, PORTAL, SETTINGS, "SettingChanged", OBJECT, APPEARANCE,
                                       G_DBUS_SIGNAL_FLAGS_NONE, on_changed, NULL, NULL);
    g_dbus_connection_call(bus, PORTAL, OBJECT, SETTINGS, "Read",
                           g_variant_new("(ss)", APPEARANCE, SCHEME), G_VARIANT_TYPE("(v)"),
                           G_DBUS_CALL_FLAGS_NONE, -1, NULL, on_read, NULL);
}

void follow_color_scheme(void)
{
    g_bus_get(G_BUS_TYPE_SESSION, NULL, on_bus, NULL);
}
